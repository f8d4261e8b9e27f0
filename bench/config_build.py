"""1,000 pools, 1,000 advertisements, 500 peers, 500 nodes: how long until they are a configuration, checked in full.

Four ways in which the advertisements choose their pools: by name (one pool each), by label, all pools, and all pools with a
local preference for each node, where every advertisement has to be held against every other. Seconds are of CPU time:
it is one thread that waits for nothing. Nothing is started and nothing needs root.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from installation import report

from metallb.api import v1beta1, v1beta1_bgp, v1beta2
from metallb.config.backends import Backend
from metallb.config.build import Snapshot, build

POOLS = 1000
ADVERTISEMENTS = 500
"""Of each kind: layer 2 and BGP."""
PEERS = 500
NODES = 500
LABELS = 20
RUNS = 5
BACKENDS: tuple[Backend, ...] = ("native", "frr", "frr-k8s")
Choice = Callable[[int], dict[str, Any]]


def on_node(number: int) -> list[dict[str, Any]]:
    return [{"matchLabels": {"kubernetes.io/hostname": f"node-{number % NODES}"}}]


def by_name(number: int) -> dict[str, Any]:
    return {"ipAddressPools": [f"pool-{number % POOLS}"]}


def by_label(number: int) -> dict[str, Any]:
    return {"ipAddressPoolSelectors": [{"matchLabels": {"team": f"team-{number % LABELS}"}}]}


def all_pools(number: int) -> dict[str, Any]:
    return {"nodeSelectors": on_node(number)}


def preferred(number: int) -> dict[str, Any]:
    return {"nodeSelectors": on_node(number), "localPref": number}


CHOICES: dict[str, Choice] = {
    "by_name": by_name,
    "by_label": by_label,
    "all_pools": all_pools,
    "preferences": preferred,
}


def named(name: str, number: int, spec: dict[str, Any]) -> dict[str, Any]:
    created = f"2026-11-25T{number // 60 % 24:02d}:{number % 60:02d}:00Z"
    labels = {"team": f"team-{number % LABELS}"}
    metadata = {"name": name, "namespace": "metallb-system", "creationTimestamp": created, "labels": labels}
    return {"metadata": metadata, "spec": spec}


def pool_spec(number: int) -> dict[str, Any]:
    third, fourth = divmod(number, 256)
    spec: dict[str, Any] = {
        "addresses": [f"10.{third}.{fourth}.0/25", f"10.{third}.{fourth}.130-10.{third}.{fourth}.250"]
    }
    if number % 10 == 0:
        spec["serviceAllocation"] = {"priority": number, "namespaceSelectors": [{"matchLabels": {"tenant": "a"}}]}
    return spec


def bgp_spec(number: int, choice: Choice) -> dict[str, Any]:
    chosen = choice(number)
    return {"communities": ["65000:100", "core"], "aggregationLength": 32, **chosen}


def peer_spec(number: int, backend: Backend) -> dict[str, Any]:
    spec = {
        "myASN": 64500,
        "peerASN": 64501 + number % 10,
        "peerAddress": f"192.0.2.{number % 250 + 1}",
        "holdTime": "90s",
        "nodeSelectors": on_node(number),
    }
    return (
        spec
        if backend == "native"
        else {**spec, "keepaliveTime": "30s", "bfdProfile": "fast", "routerID": "192.0.2.254"}
    )


def written(backend: Backend, choice: Choice) -> Iterator[tuple[str, bytes, Any]]:
    """Name of the snapshot's field, the objects as JSON, and their type."""
    l2 = {name: value for name, value in choice(1).items() if name != "localPref"}
    chosen = [{k: v for k, v in choice(number).items() if k in l2} for number in range(ADVERTISEMENTS)]
    fields = {
        "pools": ([named(f"pool-{n}", n, pool_spec(n)) for n in range(POOLS)], v1beta1.IPAddressPool),
        "l2_advertisements": (
            [named(f"l2-{n}", n, each) for n, each in enumerate(chosen)],
            v1beta1.L2Advertisement,
        ),
        "bgp_advertisements": (
            [named(f"bgp-{n}", n, bgp_spec(n, choice)) for n in range(ADVERTISEMENTS)],
            v1beta1_bgp.BGPAdvertisement,
        ),
        "peers": ([named(f"peer-{n}", n, peer_spec(n, backend)) for n in range(PEERS)], v1beta2.BGPPeer),
        "bfd_profiles": (
            [] if backend == "native" else [named("fast", 0, {"receiveInterval": 100})],
            v1beta1_bgp.BFDProfile,
        ),
        "communities": (
            [named("names", 0, {"communities": [{"name": "core", "value": "65000:1"}]})],
            v1beta1_bgp.Community,
        ),
    }
    for name, (objects, kind) in fields.items():
        yield name, msgspec.json.encode(objects), kind


def seconds(backend: Backend, choice: Choice) -> tuple[float, float]:
    """Medians of CPU time: to decode the objects, and to build the configuration."""
    decoding, building = [], []
    texts = list(written(backend, choice))
    nodes = {f"node-{n}": {"kubernetes.io/hostname": f"node-{n}", "rack": f"rack-{n % LABELS}"} for n in range(NODES)}
    namespaces = {f"space-{n}": {"tenant": "ab"[n % 2]} for n in range(100)}
    for _ in range(RUNS):
        began = time.process_time()
        fields = {name: msgspec.json.decode(text, type=tuple[kind, ...]) for name, text, kind in texts}
        decoded = time.process_time()
        built = build(Snapshot(**fields, namespaces=namespaces, nodes=nodes, backend=backend))
        building.append(time.process_time() - decoded)
        decoding.append(decoded - began)
        if built.config is None:
            raise SystemExit(f"the configuration is to be valid: {built.errors[0]}")
    return statistics.median(decoding), statistics.median(building)


def main() -> None:
    found = {(backend, name): seconds(backend, choice) for backend in BACKENDS for name, choice in CHOICES.items()}
    report(
        "config_build",
        pools=POOLS,
        advertisements=2 * ADVERTISEMENTS,
        peers=PEERS,
        nodes=NODES,
        decode_s=round(max(decoding for decoding, _ in found.values()), 3),
        build_s={backend: {name: round(found[backend, name][1], 3) for name in CHOICES} for backend in BACKENDS},
    )


if __name__ == "__main__":
    main()
