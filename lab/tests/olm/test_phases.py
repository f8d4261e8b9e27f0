"""From Pending to Failed, with the reason; and what is left when an operator goes."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = pytest.mark.e2e
Object = dict[str, Any]
SPACE = "metallb-system"
KIND = "operators.coreos.com"


def group(name: str = "metallb-operator", **spec: Any) -> Object:
    return {
        "apiVersion": f"{KIND}/v1",
        "kind": "OperatorGroup",
        "metadata": {"name": name, "namespace": SPACE},
        "spec": spec,
    }


def subscription(**spec: Any) -> Object:
    return {
        "apiVersion": f"{KIND}/v1alpha1",
        "kind": "Subscription",
        "metadata": {"name": "metallb-operator-sub", "namespace": SPACE},
        "spec": {
            "channel": "stable",
            "name": "metallb-operator",
            "source": "redhat-operators",
            "sourceNamespace": "openshift-marketplace",
        }
        | spec,
    }


NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}}


async def conditions(story: Any) -> dict[str, Object]:
    found = json.loads(await story.kubectl("get", "sub", "-n", SPACE, "metallb-operator-sub", "-o", "json"))
    return {each["type"]: each for each in found.get("status", {}).get("conditions", [])}


async def test_a_group_for_one_namespace_is_refused_until_it_is_for_all(story: Any) -> None:
    await story.serve("catalog:5.0.0")
    await story.apply(NAMESPACE, group(targetNamespaces=[SPACE]), subscription())
    status = await story.phase("5.0.0", "Failed")
    assert status["reason"] == "UnsupportedOperatorGroup"
    assert status["message"] == "OwnNamespace InstallModeType not supported, cannot configure to watch own namespace"
    await story.kubectl(
        "patch", "og", "-n", SPACE, "metallb-operator", "--type=merge", "-p", '{"spec":{"targetNamespaces":null}}'
    )
    await story.phase("5.0.0", "Succeeded")


async def test_two_groups_are_one_too_many(story: Any) -> None:
    await story.serve("catalog:5.0.0")
    await story.apply(NAMESPACE, group(), group("second"), subscription())
    status = await story.phase("5.0.0", "Failed")
    assert status["reason"] == "TooManyOperatorGroups"
    await story.kubectl("delete", "og", "-n", SPACE, "second")
    await story.phase("5.0.0", "Succeeded")


async def test_without_a_group_the_plan_waits_and_says_so(story: Any) -> None:
    await story.serve("catalog:5.0.0")
    await story.apply(NAMESPACE, subscription())

    async def waits() -> bool:
        plans = json.loads(await story.kubectl("get", "installplan", "-n", SPACE, "-o", "json"))["items"]
        message = "no operator group found that is managing this namespace"
        return [each.get("status", {}).get("message") for each in plans] == [message]

    await story.until(waits)
    await story.apply(group())
    await story.phase("5.0.0", "Succeeded")


async def test_a_deployment_that_gets_nowhere_fails_the_version_with_its_name(story: Any) -> None:
    story.healthy = False
    await story.serve("catalog:5.0.0")
    await story.apply(NAMESPACE, group(), subscription())

    async def waits() -> bool:
        return any(each[2] == "InstallWaiting" for each in story.phases)

    await story.until(waits)
    name = "metallb-operator-controller-manager"
    conditions = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "x"}]
    patch = json.dumps({"status": {"conditions": conditions}})
    await story.kubectl("patch", "deployment", "-n", SPACE, name, "--subresource=status", "--type=merge", "-p", patch)
    status = await story.phase("5.0.0", "Failed")
    assert (status["reason"], name in status["message"]) == ("InstallCheckFailed", True)
    assert status["message"].endswith(f'deployment "{name}" exceeded its progress deadline')


async def test_a_deployment_that_somebody_deletes_comes_back(story: Any) -> None:
    await story.serve("catalog:5.0.0")
    await story.apply(NAMESPACE, group(), subscription())
    await story.phase("5.0.0", "Succeeded")
    await story.kubectl("delete", "deployment", "-n", SPACE, "metallb-operator-webhook-server")
    await story.until(lambda: _told(story, "NeedsReinstall"))
    await story.phase("5.0.0", "Succeeded")
    shown = await story.kubectl("get", "deployment", "-n", SPACE, "-o", "name")
    assert "metallb-operator-webhook-server" in shown


async def test_a_version_that_makes_no_sense_is_in_nobodys_way(story: Any) -> None:
    await story.serve("catalog:5.0.0")
    install = {"strategy": "deployment", "spec": {"permissions": [{}], "deployments": [{}]}}
    nonsense = {
        "apiVersion": f"{KIND}/v1alpha1",
        "kind": "ClusterServiceVersion",
        "metadata": {"name": "a.v1", "namespace": SPACE},
        "spec": {
            "displayName": "a",
            "install": install,
            "installModes": [{"type": "AllNamespaces", "supported": True}],
        },
    }
    await story.apply(NAMESPACE, group(), nonsense, subscription())
    await story.phase("5.0.0", "Succeeded")


async def _told(story: Any, reason: str) -> bool:
    return any(each[2] == reason for each in story.phases)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"source": "other"}, "no operators found from catalog other in namespace openshift-marketplace"),
        ({"name": "other"}, "no operators found in package other in the catalog"),
        ({"channel": "fast"}, "no operators found in channel fast of package metallb-operator in the catalog"),
        ({"startingCSV": "metallb-operator.v9.9.9"}, "bundle image '' is not here"),
    ],
)
async def test_what_a_subscription_asks_for_in_vain_is_said(story: Any, spec: Object, said: str) -> None:
    await story.serve("catalog:5.0.0")
    await story.apply(NAMESPACE, group(), subscription(**spec))

    async def failed() -> str:
        return (await conditions(story)).get("ResolutionFailed", {}).get("message", "")

    message = await story.until(failed)
    assert message.startswith(f"constraints not satisfiable: {said}")
    assert message.endswith("subscription metallb-operator-sub exists")


async def test_webhooks_and_certificates_are_made_for_the_namespace_and_go_with_the_version(story: Any) -> None:
    await story.serve("catalog:5.0.0")
    await story.apply(NAMESPACE, group(), subscription())
    await story.phase("5.0.0", "Succeeded")
    hooks = json.loads(await story.kubectl("get", "validatingwebhookconfigurations", "-o", "json"))["items"]
    assert sorted(each["metadata"]["name"].rpartition("-")[0] for each in hooks) == [
        "metallbs.metallb.io",
        "pools.metallb.io",
    ]
    pools = next(each for each in hooks if "pools" in each["metadata"]["name"])["webhooks"][0]
    assert pools["clientConfig"]["service"] == {
        "name": "metallb-operator-webhook-server-service",
        "namespace": SPACE,
        "path": "/validate-pools",
        "port": 443,
    }
    crd = json.loads(await story.kubectl("get", "crd", "bgppeers.metallb.io", "-o", "json"))
    client = crd["spec"]["conversion"]["webhook"]["clientConfig"]
    assert (client["service"]["namespace"], client["service"]["path"]) == (SPACE, "/convert")
    assert client["caBundle"] == pools["clientConfig"]["caBundle"]
    server = json.loads(
        await story.kubectl("get", "deployment", "-n", SPACE, "metallb-operator-webhook-server", "-o", "json")
    )
    container = server["spec"]["template"]["spec"]["containers"][0]
    assert [each["mountPath"] for each in container["volumeMounts"]] == [
        "/apiserver.local.config/certificates",
        "/tmp/k8s-webhook-server/serving-certs",
    ]
    assert {"name": "OPERATOR_CONDITION_NAME", "value": "metallb-operator.v5.0.0"} in container["env"]
    assert server["metadata"]["labels"]["olm.owner"] == "metallb-operator.v5.0.0"
    assert server["metadata"]["ownerReferences"][0]["name"] == "metallb-operator.v5.0.0"
    await story.kubectl("delete", "sub", "-n", SPACE, "--all")
    await story.kubectl("delete", "csv", "-n", SPACE, "--all")
    kinds = "validatingwebhookconfigurations,clusterroles,clusterrolebindings"
    left = await story.kubectl("get", kinds, "-l", "olm.owner", "-o", "name")
    assert left == ""


async def test_the_double_goes_on_where_it_was_when_it_is_started_again(story: Any, double: Any) -> None:
    await story.serve("catalog:5.0.0")
    await story.apply(NAMESPACE, group(), subscription(installPlanApproval="Manual"))

    async def pending() -> bool:
        return "RequiresApproval" in json.dumps(await conditions(story))

    await story.until(pending)
    await double.again()
    (plan,) = (await story.kubectl("get", "installplan", "-n", SPACE, "-o", "name")).split()
    await story.kubectl("patch", "-n", SPACE, plan, "--type=merge", "-p", '{"spec":{"approved":true}}')
    await story.phase("5.0.0", "Succeeded")
    assert len((await story.kubectl("get", "installplan", "-n", SPACE, "-o", "name")).split()) == 1
