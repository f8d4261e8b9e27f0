"""A webhook's decision, warnings included, among 1,000 pools, 1,000 advertisements, 500 peers and 5,000 Services.

Two ways in which advertisements choose their pools: by name (one pool each), and all of them by label or not at all. Of
each kind an object is created, changed and deleted. Nothing is started and nothing needs root.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import msgspec
from installation import report

from metallb.api import v1beta1, v1beta1_bgp, v1beta2
from metallb.api.core import Node, Service
from metallb.config.change import Change
from metallb.config.index import Index

NAMESPACE = "metallb-system"
POOLS = 1000
ADVERTISEMENTS = 500
"""Of each kind: layer 2 and BGP."""
PEERS = 500
NODES = 500
SERVICES = 5000
LABELS = 20
RUNS = 200
HOST = "kubernetes.io/hostname"
MODELS: dict[str, Any] = {
    "IPAddressPool": v1beta1.IPAddressPool,
    "L2Advertisement": v1beta1.L2Advertisement,
    "BGPAdvertisement": v1beta1_bgp.BGPAdvertisement,
    "BGPPeer": v1beta2.BGPPeer,
    "BFDProfile": v1beta1_bgp.BFDProfile,
    "Community": v1beta1_bgp.Community,
}


def make(kind: str, name: str, spec: dict[str, Any], labels: dict[str, str] | None = None) -> Any:
    metadata = {"name": name, "namespace": NAMESPACE, "labels": labels or {}}
    return msgspec.convert({"metadata": metadata, "spec": spec}, MODELS[kind])


def pool(number: int, *, half: bool = False) -> Any:
    third, fourth = divmod(number, 256)
    addresses = [f"10.{third}.{fourth}.0/25"] + ([] if half else [f"10.{third}.{fourth}.130-10.{third}.{fourth}.250"])
    return make("IPAddressPool", f"pool-{number}", {"addresses": addresses}, {"team": f"team-{number % LABELS}"})


def reach(number: int, *, wide: bool) -> dict[str, Any]:
    if not wide:
        return {"ipAddressPools": [f"pool-{number % POOLS}"]}
    if number % 2:
        return {}
    return {"ipAddressPoolSelectors": [{"matchLabels": {"team": f"team-{number % LABELS}"}}]}


def on_node(number: int) -> dict[str, Any]:
    return {"nodeSelectors": [{"matchLabels": {HOST: f"node-{number % NODES}"}}]}


def layer2(number: int, *, wide: bool, **spec: Any) -> Any:
    return make("L2Advertisement", f"l2-{number}", reach(number, wide=wide) | spec)


def bgp(number: int, *, wide: bool, **spec: Any) -> Any:
    chosen = reach(number + POOLS // 2, wide=wide) | {"communities": ["core"]} | on_node(number)
    return make("BGPAdvertisement", f"bgp-{number}", chosen | spec)


def peer(number: int, **spec: Any) -> Any:
    address = f"192.0.{2 + number // 250}.{number % 250 + 1}"
    timers = {"holdTime": "90s", "bfdProfile": "fast"}
    chosen = {"myASN": 64500, "peerASN": 64501, "peerAddress": address, **timers, **on_node(number), **spec}
    return make("BGPPeer", f"peer-{number}", chosen)


def community(*names: str) -> Any:
    return make("Community", "names", {"communities": [{"name": name, "value": "65000:1"} for name in names]})


def profile(**spec: Any) -> Any:
    return make("BFDProfile", "fast", spec)


def filled(*, wide: bool) -> Index:
    index = Index("frr")
    for number in range(NODES):
        name = f"node-{number}"
        written = {
            "metadata": {"name": name, "labels": {HOST: name, "rack": f"rack-{number % LABELS}"}},
            "spec": {"podCIDRs": [f"172.{16 + number // 256}.{number % 256}.0/24"]},
            "status": {"addresses": [{"type": "InternalIP", "address": f"192.168.{number // 256}.{number % 256}"}]},
        }
        index.put_node(msgspec.convert(written, Node))
    for number in range(SERVICES):
        third, fourth = divmod(number % POOLS, 256)
        written = {
            "metadata": {"name": f"service-{number}", "namespace": "shop"},
            "spec": {"type": "LoadBalancer", "clusterIPs": [f"172.30.{number // 256}.{number % 256}"]},
            "status": {"loadBalancer": {"ingress": [{"ip": f"10.{third}.{fourth}.{130 + number // POOLS}"}]}},
        }
        index.put_service(msgspec.convert(written, Service))
    index.put_namespace("shop", {"tenant": "a"})
    for each in objects(wide=wide):
        index.put(each)
    return index


def objects(*, wide: bool) -> Iterator[Any]:
    yield community("core", "edge")
    yield profile(receiveInterval=100)
    yield from (pool(number) for number in range(POOLS))
    yield from (layer2(number, wide=wide) for number in range(ADVERTISEMENTS))
    yield from (bgp(number, wide=wide) for number in range(ADVERTISEMENTS))
    yield from (peer(number) for number in range(PEERS))


def changes(*, wide: bool) -> Iterator[tuple[str, Any, Any]]:
    """What is tried, with the object before and after."""
    yield "pool created", None, pool(POOLS)
    yield "pool created, overlaps", None, make("IPAddressPool", "new", {"addresses": ["10.1.1.0/24"]})
    yield "pool shrinks", pool(7), pool(7, half=True)
    yield "pool deleted", pool(7), None
    yield "pool of all deleted", make("IPAddressPool", "huge", {"addresses": ["10.0.0.0/8"]}), None
    yield "L2 created", None, layer2(ADVERTISEMENTS, wide=wide)
    yield "L2 looks elsewhere", layer2(7, wide=wide), layer2(7, wide=False, ipAddressPools=["pool-9"], **on_node(3))
    yield "L2 deleted", layer2(7, wide=wide), None
    yield "BGP created", None, bgp(ADVERTISEMENTS, wide=wide, peers=["peer-1"], **on_node(7))
    yield "BGP created, conflicts", None, bgp(ADVERTISEMENTS, wide=wide, localPref=7, nodeSelectors=[])
    yield "BGP changed", bgp(7, wide=wide), bgp(7, wide=wide, aggregationLength=31)
    yield "BGP deleted", bgp(7, wide=wide), None
    yield "peer created", None, peer(PEERS, peerAddress="192.0.9.9")
    yield "peer created, conflicts", None, peer(PEERS, routerID="192.0.2.9", nodeSelectors=[])
    yield "peer changed", peer(7), peer(7, holdTime="30s")
    yield "peer deleted", peer(7), None
    yield "profile changed", profile(receiveInterval=100), profile(receiveInterval=50, echoMode=True)
    yield "profile deleted, in use", profile(receiveInterval=100), None
    yield "community changed", community("core", "edge"), community("core")
    yield "community deleted, in use", community("core", "edge"), None


def milliseconds(index: Index, before: Any, after: Any) -> float:
    """CPU of one decision, on average; before each one the cache shows a change, so that nothing is left of the last."""
    subject = after or before
    change = Change(type(subject).__name__, NAMESPACE, subject.metadata.name, before, after)
    verdict = index.judge(change)
    passed = 0.0
    for run in range(RUNS):
        index.put(pool(POOLS - 1, half=run % 2 == 0))
        began = time.process_time()
        again = index.judge(change)
        passed += time.process_time() - began
        if again != verdict:
            raise SystemExit("a decision is to be the same each time")
    return passed / RUNS * 1000


def main() -> None:
    found = {}
    for name, wide in (("by_name", False), ("all_pools", True)):
        index = filled(wide=wide)
        found[name] = {what: round(milliseconds(index, *pair), 3) for what, *pair in changes(wide=wide)}
    report(
        "webhook_decision",
        pools=POOLS,
        advertisements=2 * ADVERTISEMENTS,
        peers=PEERS,
        nodes=NODES,
        services=SERVICES,
        worst_ms={name: max(figures.values()) for name, figures in found.items()},
        cpu_ms=found,
    )


if __name__ == "__main__":
    main()
