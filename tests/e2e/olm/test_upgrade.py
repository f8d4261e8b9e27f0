"""Approved by hand, then upgraded from one bundle to the next while a Service is served."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("upgrade")]

SPACE = "metallb-system"
NEXT = "9.9.9"
Object = dict[str, Any]


def made(group: str, kind: str, called: str, **spec: Any) -> Object:
    return {"apiVersion": group, "kind": kind, "metadata": {"name": called, "namespace": SPACE}, "spec": spec}


async def pending(administrator: Any) -> str:
    plans = json.loads(await administrator.kubectl("get", "installplan", "-n", SPACE, "-o", "json"))["items"]
    return next((each["metadata"]["name"] for each in plans if not each["spec"]["approved"]), "")


async def approve(administrator: Any) -> None:
    name = await administrator.until(lambda: pending(administrator))
    await administrator.kubectl(
        "patch", "installplan", "-n", SPACE, name, "--type=merge", "-p", '{"spec":{"approved":true}}'
    )


async def test_nothing_is_installed_before_it_is_approved(administrator: Any) -> None:
    await administrator.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}})
    await administrator.apply(
        made("operators.coreos.com/v1", "OperatorGroup", "metallb-operator"),
        made(
            "operators.coreos.com/v1alpha1",
            "Subscription",
            "metallb-operator-sub",
            channel="stable",
            installPlanApproval="Manual",
            name="metallb-operator",
            source="redhat-operators",
            sourceNamespace="openshift-marketplace",
        ),
    )
    plan = "NAME CSV APPROVAL APPROVED\ninstall-xxxxx metallb-operator.v5.0.0 Manual false\n"
    await administrator.sees(plan, "get", "installplan", "-n", SPACE)
    assert "metallb.io" not in await administrator.kubectl("get", "crd", "-o", "name")
    await approve(administrator)
    shown = "Name Phase\nmetallb-operator.v5.0.0 Succeeded\n"
    columns = "custom-columns=Name:.metadata.name,Phase:.status.phase"
    await administrator.sees(shown, "get", "clusterserviceversion", "-n", SPACE, "-o", columns)


async def test_the_next_version_replaces_it_and_addresses_stay(administrator: Any) -> None:
    await administrator.apply(
        {"apiVersion": "metallb.io/v1beta1", "kind": "MetalLB", "metadata": {"name": "metallb", "namespace": SPACE}},
        made("metallb.io/v1beta1", "IPAddressPool", "first", addresses=["198.51.100.100-198.51.100.149"]),
        made("metallb.io/v1beta1", "L2Advertisement", "first"),
    )
    await administrator.kubectl("create", "service", "loadbalancer", "page", "--tcp=80:80")

    async def address() -> str:
        path = "jsonpath={.status.loadBalancer.ingress[0].ip}"
        return str(await administrator.kubectl("get", "service", "page", "-o", path))

    before = await administrator.until(address)
    await administrator.serve(NEXT)
    await approve(administrator)
    shown = f"NAME DISPLAY VERSION RELEASE REPLACES PHASE\nmetallb-operator.v{NEXT} MetalLB Operator {NEXT} "
    await administrator.sees(shown + "metallb-operator.v5.0.0 Succeeded\n", "get", "csv", "-n", SPACE)
    await administrator.kubectl("wait", "-n", SPACE, "--for=condition=Available", "metallb/metallb", "--timeout=150s")
    assert await address() == before
    owners = "jsonpath={.items[*].metadata.ownerReferences[*].name}"
    selector = ["-l", "olm.managed=true", "-o", owners]
    found = await administrator.kubectl("get", "deployments", "-n", SPACE, *selector)
    assert set(found.split()) == {f"metallb-operator.v{NEXT}"}
    hooks = await administrator.kubectl("get", "validatingwebhookconfigurations", "-L", "olm.owner", "--no-headers")
    assert {line.split()[-1] for line in hooks.splitlines()} == {f"metallb-operator.v{NEXT}"}
