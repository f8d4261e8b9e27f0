"""The kernel's own view: changes one by one lead to the same table as a new one, and nothing else is touched."""

from __future__ import annotations

import ipaddress
import json
import random
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from kubelab.proxy.model import ServiceKey, networks, parse_service, parse_slice
from kubelab.proxy.program import Program
from kubelab.proxy.rules import NOTHING, Fragment, Node, fragment

if TYPE_CHECKING:
    from conftest import Lan

pytestmark = pytest.mark.e2e

NODE = Node(
    name="worker-1",
    addresses=(ipaddress.ip_address("198.51.100.11"), ipaddress.ip_address("2001:db8:100::11")),
    pod_cidrs=networks(["198.18.1.0/24", "2001:db8:200:1::/64"]),
    cluster_cidrs=networks(["198.18.0.0/17", "2001:db8:200::/56"]),
    service_cidrs=networks(["198.18.128.0/17", "2001:db8:300::/112"]),
)


def some_fragment(draw: random.Random, number: int) -> Fragment:
    """A service of chance, of either family, with endpoints here and there."""
    spec: dict[str, Any] = {
        "type": draw.choice(["ClusterIP", "NodePort", "LoadBalancer"]),
        "clusterIPs": [f"198.18.130.{number}", f"2001:db8:300::{number:x}"],
        "externalTrafficPolicy": draw.choice(["Cluster", "Local"]),
        "internalTrafficPolicy": draw.choice(["Cluster", "Cluster", "Local"]),
        "sessionAffinity": draw.choice(["None", "ClientIP"]),
        "ports": [
            {"name": kind, "protocol": kind, "port": 80 + index, "nodePort": 30000 + 10 * number + index}
            for index, kind in enumerate(draw.sample(["TCP", "UDP", "SCTP"], draw.randint(1, 3)))
        ],
        "loadBalancerSourceRanges": draw.choice([[], ["198.51.100.0/24", "198.51.100.128/25", "2001:db8::/32"]]),
    }
    ingress = [{"ip": f"198.19.0.{draw.randint(1, 4)}"}, {"ip": f"2001:db8:400::{number:x}"}]
    meta = {"namespace": "default", "name": f"s{number}"}
    service = parse_service({"metadata": meta, "spec": spec, "status": {"loadBalancer": {"ingress": ingress}}})
    assert service is not None
    slices = []
    for prefix in ("198.18.{}.{}", "2001:db8:200:{}::{}"):
        endpoints = [
            {
                "addresses": [prefix.format(node, draw.randint(2, 9))],
                "nodeName": f"worker-{node}",
                "conditions": {"ready": draw.random() < 0.8, "serving": True, "terminating": draw.random() < 0.3},
            }
            for node in draw.choices([1, 2, 3], k=draw.randint(0, 4))
        ]
        ports = [{"name": port["name"], "protocol": port["protocol"], "port": 8000} for port in spec["ports"]]
        slices.append(parse_slice({"endpoints": endpoints, "ports": ports}))
    return fragment(service, slices, NODE)


def apply(lan: Lan, text: str) -> None:
    done = subprocess.run([*lan.enter(), "nft", "-f", "-"], input=text, text=True, capture_output=True, check=False)
    assert done.returncode == 0, f"{done.stderr}\n{text}"


def table(lan: Lan) -> Any:
    """The table as nft lists it, without handles and in an order of its own."""
    listed = json.loads(lan.run("nft", "-j", "list", "table", "inet", "kubelab"))["nftables"]
    return sorted(json.dumps(_plain(item), sort_keys=True) for item in listed if "metainfo" not in item)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        plain = {key: _plain(item) for key, item in value.items() if key != "handle"}
        if isinstance(plain.get("elem"), list):
            plain["elem"].sort(key=json.dumps)
        return plain
    return [_plain(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("seed", range(3))
def test_changes_one_by_one_leave_the_table_that_would_be_made_anew(lan: Lan, seed: int) -> None:
    draw = random.Random(seed)
    program = Program(NODE)
    apply(lan, program.text())
    wanted: dict[ServiceKey, Fragment] = {}
    for _ in range(25):
        for _ in range(draw.randint(1, 3)):
            number = draw.randint(1, 6)
            key = ServiceKey("default", f"s{number}")
            wanted[key] = NOTHING if draw.random() < 0.25 else some_fragment(draw, number)
            program.put(key, wanted[key])
        if text := program.changes():
            apply(lan, text)
    stepwise = table(lan)
    anew = Program(NODE)
    for key, part in wanted.items():
        anew.put(key, part)
    apply(lan, anew.text())
    assert stepwise == table(lan)


def test_other_tables_stay_as_they_are(lan: Lan) -> None:
    lan.run("nft", "add", "table", "inet", "other")
    apply(lan, Program(NODE).text())
    apply(lan, Program(NODE).text())
    assert lan.run("nft", "list", "tables").splitlines() == ["table inet other", "table inet kubelab"]


def test_a_change_among_many_services_is_quick(lan: Lan) -> None:
    program, draw = Program(NODE), random.Random(1)
    for number in range(1, 250):
        program.put(ServiceKey("default", f"s{number}"), some_fragment(draw, number))
    apply(lan, program.text())
    begun = time.monotonic()
    program.put(ServiceKey("default", "s7"), some_fragment(draw, 7))
    changes = program.changes()
    assert len(changes) < len(program.text()) / 20
    apply(lan, changes)
    assert time.monotonic() - begun < 30
