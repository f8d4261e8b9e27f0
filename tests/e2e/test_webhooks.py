"""The API as an administrator meets it: refusals and warnings by kubectl, and certificates that nobody thinks of."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from metallb.kube.authority import issue, make_authority

NAMESPACE = "metallb-system"
SERVER = "deployment/metallb-operator-webhook-server"
MANIFESTS = str(Path(__file__).resolve().parents[2] / "manifests")
pytestmark = pytest.mark.e2e


def resource(kind: str, name: str, spec: dict[str, Any] | None, version: str = "v1beta1", **metadata: Any) -> str:
    metadata = {"name": name, "namespace": NAMESPACE} | metadata
    body = {"apiVersion": f"metallb.io/{version}", "kind": kind, "metadata": metadata}
    return yaml.safe_dump(body if spec is None else body | {"spec": spec})


def pool(name: str, *addresses: str, **metadata: Any) -> str:
    return resource("IPAddressPool", name, {"addresses": list(addresses)}, **metadata)


async def tried(cluster: Any, text: str, *flags: str) -> tuple[int, str, str]:
    done = await cluster.lab.kubectl("apply", "-f", "-", *flags, stdin=text, check=False)
    return done.code, done.stdout.strip(), done.stderr.strip()


DENIED = (
    'Error from server (Forbidden): error when creating "STDIN": admission webhook "{}.metallb.io" denied the request: '
)


@pytest.mark.parametrize(
    ("text", "webhook", "said"),
    [
        (
            pool("second", "198.51.100.140-198.51.100.160"),
            "ipaddresspoolvalidationwebhook",
            (
                f"IPAddressPool {NAMESPACE}/second: spec.addresses[0]: '198.51.100.140-198.51.100.160' overlaps "
                f"198.51.100.100-198.51.100.149 of IPAddressPool {NAMESPACE}/first; an address may belong to one pool only"
            ),
        ),
        (
            pool("second", "198.51.100.190-198.51.100.180"),
            "ipaddresspoolvalidationwebhook",
            (
                f"IPAddressPool {NAMESPACE}/second: spec.addresses[0]: '198.51.100.190-198.51.100.180' starts at "
                "198.51.100.190, after its end 198.51.100.180; write 198.51.100.180-198.51.100.190"
            ),
        ),
        (
            pool("second", "198.51.100.180/32", namespace="default"),
            "ipaddresspoolvalidationwebhook",
            (
                "IPAddressPool default/second: metadata.namespace: 'default' is not the namespace of MetalLB, "
                f"{NAMESPACE}: the object would have no effect; create it in namespace {NAMESPACE}"
            ),
        ),
        (
            resource("Community", "c", {"communities": [{"name": "a", "value": "65536:1"}]}),
            "communityvalidationwebhook",
            f"Community {NAMESPACE}/c: spec.communities[0].value: '65536:1' ",
        ),
        (
            resource("BFDProfile", "fast", {}),
            "bfdprofilevalidationwebhook",
            (
                f"BFDProfile {NAMESPACE}/fast: metadata.name: 'fast' is there, and backend native can't do BFD; "
                "remove the profile, or use another backend"
            ),
        ),
    ],
    ids=["overlap", "order", "namespace", "community", "backend"],
)
async def test_what_breaks_a_rule_is_refused_with_object_field_value_and_rule(
    cluster: Any, text: str, webhook: str, said: str
) -> None:
    code, out, err = await tried(cluster, text)
    assert (code, out) == (1, "")
    assert err.startswith(DENIED.format(webhook) + said)


async def test_all_that_is_wrong_is_said_at_once(cluster: Any) -> None:
    _, _, err = await tried(cluster, pool("second", "10.0.0.0/33", "x", "198.51.100.180/32"))
    assert err.count(f"IPAddressPool {NAMESPACE}/second: spec.addresses[") == 2


async def test_a_dry_run_shows_what_a_change_would_do(cluster: Any) -> None:
    await cluster.apply(cluster.load_balancer("warned", "web"))
    try:
        await cluster.until(lambda: cluster.addresses("warned"), "an address")
        done = await cluster.lab.kubectl(
            "delete", "ipaddresspool", "first", "-n", NAMESPACE, "--dry-run=server", check=False
        )
        assert done.code == 0
        assert f"Warning: IPAddressPool {NAMESPACE}/first: " in done.stderr
        assert "default/warned" in done.stderr
        code, out, _err = await tried(cluster, pool("second", "198.51.100.190/32"), "--dry-run=server")
        assert (code, out) == (0, "ipaddresspool.metallb.io/second created (server dry run)")
    finally:
        await cluster.kubectl("delete", "service", "warned")


async def test_what_a_deletion_takes_along_is_said_before(cluster: Any) -> None:
    """Of all kinds that others need; the lab's advertisement is the only one for its pool."""
    peer = {"myASN": 64500, "peerASN": 64501, "peerAddress": "192.0.2.1"}
    await tried(cluster, resource("Community", "names", {"communities": [{"name": "vip", "value": "64500:1"}]}))
    await tried(cluster, resource("BGPPeer", "only", peer, "v1beta2"))
    try:
        await said_of_deleting(cluster, "l2advertisement", "--all", "no advertisement would be left for IPAddressPool")
        spec = {"communities": ["vip"], "ipAddressPools": ["later"]}
        code, _, err = await tried(cluster, resource("BGPAdvertisement", "routes", spec))
        assert code == 0, err
        await said_of_deleting(cluster, "community", "names", "routes would be left with the unknown alias vip")
        await said_of_deleting(cluster, "bgppeer", "only", "no BGPPeer would be left for BGPAdvertisement routes")
    finally:
        for each in ("bgpadvertisement/routes", "community/names", "bgppeer/only"):
            await cluster.kubectl("delete", each, "-n", NAMESPACE, "--ignore-not-found")


async def said_of_deleting(cluster: Any, kind: str, name: str, said: str) -> None:
    done = await cluster.lab.kubectl("delete", kind, name, "-n", NAMESPACE, "--dry-run=server", check=False)
    assert (done.code, said in done.stderr) == (0, True), done.stderr


async def test_a_namespace_can_go_when_nobody_is_left_to_ask(cluster: Any) -> None:
    """As MetalLB's own does: its webhook servers are gone before its BFD profiles are."""
    hooks = "validatingwebhookconfiguration", "metallb-webhook-configuration"
    await cluster.kubectl("delete", *hooks)
    try:
        await cluster.kubectl("create", "namespace", "going")
        await tried(cluster, resource("BFDProfile", "left", {}, namespace="going"))
        await cluster.kubectl("apply", "-k", MANIFESTS)
        await scaled(cluster, 0)
        done = await cluster.lab.kubectl("delete", "bfdprofile", "left", "-n", "going", check=False)
        assert 'failed calling webhook "bfdprofilevalidationwebhook.metallb.io"' in done.stderr, "people have to ask"
        await cluster.kubectl("delete", "namespace", "going", "--timeout=150s")
    finally:
        await cluster.kubectl("apply", "-k", MANIFESTS)
        await scaled(cluster, 1)

    async def trusted_again() -> bool:
        found = bundles(await trusting(cluster))
        return len(found) == 1 and found != {""}

    await cluster.until(trusted_again, "the new configuration trusts the webhook")


async def test_an_old_version_of_a_peer_loses_nothing(cluster: Any) -> None:
    spec = {"myASN": 64500, "peerASN": 64501, "peerAddress": "192.0.2.1", "passwordSecret": {"name": "none-yet"}}
    code, out, err = await tried(cluster, resource("BGPPeer", "both", spec, "v1beta2"))
    assert (code, out) == (0, "bgppeer.metallb.io/both created")
    assert "the Secret none-yet does not exist" in err
    try:
        done = await cluster.lab.kubectl("get", "bgppeers.v1beta1.metallb.io", "both", "-n", NAMESPACE, "-o", "json")
        assert "Warning: v1beta1 is deprecated, please use v1beta2" in done.stderr
        old = json.loads(done.stdout)
        assert old["apiVersion"] == "metallb.io/v1beta1"
        assert "passwordSecret" not in old["spec"]
        old["spec"]["peerASN"] = 64502
        await cluster.kubectl("replace", "-f", "-", stdin=json.dumps(old))
        new = await cluster.get("bgppeers.v1beta2.metallb.io", "both", NAMESPACE)
        assert {name: new["spec"][name] for name in spec} == spec | {"peerASN": 64502}
        assert "metallb.io/v1beta2-fields" not in new["metadata"]["annotations"]
        _, _, err = await tried(cluster, resource("BGPPeer", "old", {k: spec[k] for k in list(spec)[:3]}))
        assert "Warning: v1beta1 is deprecated" in err
    finally:
        await cluster.kubectl("delete", "bgppeers", "-n", NAMESPACE, "both", "old", "--ignore-not-found")


async def secret(cluster: Any) -> dict[str, Any]:
    found: dict[str, Any] = await cluster.get("secret", "metallb-webhook-cert", NAMESPACE)
    return found


async def trusting(cluster: Any) -> list[dict[str, Any]]:
    """The objects that hold a bundle, as they are."""
    objects = ("validatingwebhookconfiguration", "metallb-webhook-configuration"), ("crd", "bgppeers.metallb.io")
    return [
        json.loads(await cluster.kubectl("get", kind, name, "-o", "json", "--show-managed-fields"))
        for kind, name in objects
    ]


def bundles(objects: list[dict[str, Any]]) -> set[str]:
    configuration, definition = objects
    configs = [each["clientConfig"] for each in configuration["webhooks"]]
    configs.append(definition["spec"]["conversion"]["webhook"]["clientConfig"])
    return {each.get("caBundle", "") for each in configs}


@asynccontextmanager
async def replicas(cluster: Any, count: int) -> AsyncIterator[None]:
    """So many webhook servers, all ready; afterwards one again."""
    try:
        await scaled(cluster, count)
        yield
    finally:
        await scaled(cluster, 1)


async def scaled(cluster: Any, count: int) -> None:
    await cluster.kubectl("scale", "-n", NAMESPACE, SERVER, f"--replicas={count}")
    if count:
        await cluster.kubectl("rollout", "status", "-n", NAMESPACE, SERVER, "--timeout=150s")

    async def settled() -> bool:
        """The nodes' proxies learn a little later which servers there are."""
        pods = await cluster.items("pods", NAMESPACE, "-l", "component=webhook-server")
        code, _, err = await tried(cluster, pool("asks", "198.51.100.180/32"), "--dry-run=server")
        return len(pods) == count and (code == 0 if count else "failed calling webhook" in err)

    await cluster.until(settled, f"{count} webhook servers, which are asked")


async def unchanging(cluster: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Secret and bundles, once nobody has anything to write any more."""
    found = []

    async def so() -> bool:
        found.append((await secret(cluster), await trusting(cluster)))
        authority = found[-1][0]["data"].get("ca.crt", "")
        return found[-2:-1] == found[-1:] and bundles(found[-1][1]) == {authority} != {""}

    await cluster.until(so, "objects that trust the Secret's authority")
    return found[-1]


async def test_two_servers_share_one_certificate_and_do_not_write_it_again(cluster: Any) -> None:
    before = await unchanging(cluster)
    async with replicas(cluster, 2):
        pods = await cluster.items("pods", NAMESPACE, "-l", "component=webhook-server")
        for pod in pods:
            logs = await cluster.kubectl("logs", "-n", NAMESPACE, pod["metadata"]["name"])
            assert "certificateServed" in logs
        for number in range(6):
            code, _, err = await tried(cluster, pool(f"try{number}", "198.51.100.180/32"), "--dry-run=server")
            assert code == 0, err
    assert (await secret(cluster), await trusting(cluster)) == before


async def test_applying_the_manifests_again_takes_no_trust_away(cluster: Any) -> None:
    certificate, before = await unchanging(cluster)
    held = certificate["data"]
    await cluster.kubectl("apply", "-k", MANIFESTS)
    assert await trusting(cluster) == before
    for _ in range(2):
        await cluster.kubectl("apply", "-k", MANIFESTS, "--server-side", "--force-conflicts")
        after = await trusting(cluster)
        assert bundles(after) == bundles(before)
    await cluster.kubectl("apply", "-k", MANIFESTS, "--server-side", "--force-conflicts")
    assert await trusting(cluster) == after, "nothing drifts"
    for each in after:
        ours = [entry for entry in each["metadata"]["managedFields"] if entry["manager"] == "MetalLB"]
        assert [entry["operation"] for entry in ours] == ["Apply"]
        assert "f:caBundle" in json.dumps(ours)
        assert "f:service" not in json.dumps(ours)
    assert (await secret(cluster))["data"] == held


async def test_servers_that_are_replaced_one_by_one_drop_no_request(cluster: Any) -> None:
    async with replicas(cluster, 2):
        await cluster.kubectl("rollout", "restart", "-n", NAMESPACE, SERVER)
        rollout = asyncio.create_task(cluster.kubectl("rollout", "status", "-n", NAMESPACE, SERVER, "--timeout=150s"))
        tries = 0
        while not rollout.done() or tries < 5:
            code, _, err = await tried(cluster, pool("moving", "198.51.100.180/32"), "--dry-run=server")
            assert code == 0, err
            tries += 1
        await rollout


async def test_a_bundle_that_is_tampered_with_is_put_right(cluster: Any) -> None:
    before = bundles((await unchanging(cluster))[1])
    wrong = base64.b64encode(make_authority(now(), dt.timedelta(days=1)).certificate).decode()
    crd = json.dumps({"spec": {"conversion": {"webhook": {"clientConfig": {"caBundle": wrong}}}}})
    hook = json.dumps([{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": wrong}])
    await cluster.kubectl("patch", "crd", "bgppeers.metallb.io", "--type=merge", "-p", crd)
    await cluster.kubectl(
        "patch", "validatingwebhookconfiguration", "metallb-webhook-configuration", "--type=json", "-p", hook
    )

    async def right() -> bool:
        return bundles(await trusting(cluster)) == before

    await cluster.until(right, "the bundles as before")


def now() -> dt.datetime:
    return dt.datetime.now(tz=dt.UTC)  # noqa: TID251  # the cluster looks at the clock


async def test_an_authority_that_ends_soon_is_replaced_while_requests_come_in(cluster: Any) -> None:
    """Its certificates are good for another month: time enough, if nobody has to stop for it."""
    month = dt.timedelta(days=30)
    ending = make_authority(now(), month)
    pair = issue(ending, [f"metallb-webhook-service.{NAMESPACE}.svc"], now(), month)
    data = {"ca.crt": ending.certificate, "ca.key": ending.key, "tls.crt": pair.chain, "tls.key": pair.key}
    encoded = {name: base64.b64encode(value).decode() for name, value in data.items()}
    failed: list[str] = []
    try:
        await scaled(cluster, 0)
        await cluster.kubectl(
            "patch",
            "secret",
            "-n",
            NAMESPACE,
            "metallb-webhook-cert",
            "--type=merge",
            "-p",
            json.dumps({"data": encoded}),
        )
        await scaled(cluster, 2)
        asked = 0

        async def renewed() -> bool:
            nonlocal asked
            code, _, err = await tried(cluster, pool("asked", "198.51.100.180/32"), "--dry-run=server")
            asked += 1
            if code:
                failed.append(err)
            return bool((await secret(cluster))["data"]["tls.crt"] != encoded["tls.crt"])

        await cluster.until(renewed, "a certificate of the new authority")
        for _ in range(5):
            await renewed()
        assert failed == []
        assert asked > 5
        found = base64.b64decode((await secret(cluster))["data"]["ca.crt"])
        assert found.endswith(ending.certificate), "still trusted, for whoever is slow"

        async def all_trust_both() -> bool:
            return bundles(await trusting(cluster)) == {base64.b64encode(found).decode()}

        await cluster.until(all_trust_both, "the new bundle everywhere")
    finally:
        await scaled(cluster, 1)


async def test_a_definition_can_be_deleted_when_its_webhook_is_gone(cluster: Any) -> None:
    spec = {"myASN": 64500, "peerASN": 64501, "peerAddress": "192.0.2.1"}
    await tried(cluster, resource("BGPPeer", "left", spec, "v1beta2"))
    try:
        await scaled(cluster, 0)
        _, _, err = await tried(cluster, pool("second", "198.51.100.180/32"))
        assert 'failed calling webhook "ipaddresspoolvalidationwebhook.metallb.io"' in err
        await cluster.kubectl("delete", "crd", "bgppeers.metallb.io", "--timeout=150s")
        assert "bgppeers.metallb.io" not in await cluster.kubectl("get", "crd", "-o", "name")
    finally:
        await cluster.kubectl("apply", "-k", MANIFESTS)
        await scaled(cluster, 1)

    async def trusted_again() -> bool:
        found = bundles(await trusting(cluster))
        return len(found) == 1 and found != {""}

    await cluster.until(trusted_again, "the new definition trusts the webhook")

    async def is_converted() -> bool:
        code, _, _ = await tried(cluster, resource("BGPPeer", "left", spec), "--dry-run=server")
        return code == 0

    await cluster.until(is_converted, "a peer of an older version")
