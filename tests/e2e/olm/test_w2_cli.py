"""Walkthrough W2, then W3: installed by OLM on the command line, as written; then uninstalled without a trace."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.walkthrough.steps import SECTIONS, Walk

from kubelab.lab import Lab

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("w2"),
    pytest.mark.timeout(900),
]

SPACE = "metallb-system"
Object = dict[str, Any]


async def test_w2_1_to_w2_7_as_written(administrator: Any, recordings: Callable[[str], list[Object]]) -> None:
    """Each command as the real OLM answered it, with its own bundle's version."""
    lines = recordings("w2-automatic")
    assert lines[2]["argv"] == ["kubectl", "get", "operatorgroup", "-n", SPACE]
    for line in lines[:4]:
        await administrator.sees(line["stdout"], *line["argv"][1:], stdin=line.get("stdin"))
    label = "openshift.io/cluster-monitoring=true"
    assert await administrator.kubectl("label", "ns", SPACE, label) == f"namespace/{SPACE} labeled\n"
    for line in lines[4:8]:
        await administrator.sees(line["stdout"], *line["argv"][1:])


async def test_the_installation_says_where_it_is_from(administrator: Any) -> None:
    found = json.loads(await administrator.kubectl("get", "sub", "-n", SPACE, "metallb-operator-sub", "-o", "json"))
    assert found["status"]["state"] == "AtLatestKnown"
    assert found["status"]["installedCSV"] == f"metallb-operator.v{administrator.version}"


@pytest.mark.parametrize("section", SECTIONS)
async def test_w0_to_w5_as_written(administrator: Any, wrapped: Callable[[Lab], Any], section: str) -> None:
    await Walk(administrator, wrapped(administrator.lab), SPACE).do(section)


async def test_a_second_operator_group_is_said_and_mended(administrator: Any) -> None:
    group = {
        "apiVersion": "operators.coreos.com/v1",
        "kind": "OperatorGroup",
        "metadata": {"name": "second", "namespace": SPACE},
    }
    await administrator.apply(group)
    phase = ["get", "csv", "-n", SPACE, "-o", "custom-columns=P:.status.phase,R:.status.reason"]
    await administrator.sees("P R\nFailed TooManyOperatorGroups\n", *phase)
    await administrator.kubectl("delete", "operatorgroup", "-n", SPACE, "second")
    await administrator.sees("P R\nSucceeded InstallSucceeded\n", *phase)


async def test_uninstalled_it_leaves_only_the_definitions_that_olm_leaves(administrator: Any) -> None:
    for argv in (["metallb", "metallb"], ["sub", "--all"], ["csv", "--all"], ["og", "--all"]):
        await administrator.kubectl("delete", "-n", SPACE, *argv)
    kinds = "configmaps,deployments,daemonsets,pods,services,serviceaccounts,roles,rolebindings,secrets,networkpolicies"

    await administrator.sees(
        "configmap/kube-root-ca.crt\nserviceaccount/default\n", "get", kinds, "-n", SPACE, "-o", "name"
    )
    wide = "clusterroles,clusterrolebindings,validatingwebhookconfigurations"
    names = (await administrator.kubectl("get", wide, "-o", "name")).split()
    assert [name for name in names if "metallb" in name] == []
