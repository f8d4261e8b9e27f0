"""The table as a whole: its golden text, and changes that lead to the same table as a new one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.proxy.model import ServiceKey, parse_service, parse_slice
from kubelab.proxy.program import Program
from kubelab.proxy.rules import NOTHING, Fragment, fragment

GOLDEN = Path(__file__).parent / "golden"


def of(examples: Any, obj: dict[str, Any], *slices: dict[str, Any]) -> tuple[ServiceKey, Fragment]:
    service = parse_service(obj)
    assert service is not None
    return service.key, fragment(service, [parse_slice(item) for item in slices], examples.node)


def cluster(examples: Any) -> Program:
    """A service of each sort."""
    program = Program(examples.node)
    here, there = examples.endpoint("198.18.1.2"), examples.endpoint("198.18.2.2", "worker-2")
    six = examples.slice(examples.endpoint("2001:db8:200:1::2"), name="web-6")
    ports = [{"name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080}]
    local = {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "ports": ports}
    program.put(
        *of(
            examples,
            examples.service(
                **local,
                clusterIPs=["198.18.128.5", "2001:db8:300::5"],
                ingress=["198.51.100.100", "2001:db8:100::100"],
                loadBalancerSourceRanges=["198.51.100.0/24"],
            ),
            examples.slice(here, there),
            six,
        )
    )
    dns = [{"name": "dns", "port": 53, "protocol": "UDP"}]
    named = examples.service("names", clusterIPs=["198.18.128.10"], ports=dns, sessionAffinity="ClientIP")
    program.put(*of(examples, named, examples.slice(here, there, service="names", ports=dns)))
    program.put(*of(examples, examples.service("empty", clusterIPs=["198.18.128.11"])))
    return program


def test_the_whole_table_reads_as_the_golden_file(examples: Any, request: pytest.FixtureRequest) -> None:
    text = cluster(examples).text()
    path = GOLDEN / "table.nft"
    if request.config.getoption("--update", default=False):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


def test_one_endpoint_less_changes_only_the_chains_that_knew_it(examples: Any) -> None:
    program = cluster(examples)
    program.text()
    dns = [{"name": "dns", "port": 53, "protocol": "UDP"}]
    named = examples.service("names", clusterIPs=["198.18.128.10"], ports=dns, sessionAffinity="ClientIP")
    program.put(*of(examples, named, examples.slice(examples.endpoint("198.18.1.2"), service="names", ports=dns)))
    assert program.changes() == (
        "flush chain inet kubelab cluster4/default/names/udp/53\n"
        "add rule inet kubelab cluster4/default/names/udp/53 meta l4proto udp dnat ip to 198.18.1.2:53\n"
    )
    assert program.changes() == ""


def test_the_same_again_is_no_change(examples: Any) -> None:
    program = cluster(examples)
    program.text()
    program.put(*of(examples, examples.service("empty", clusterIPs=["198.18.128.11"])))
    assert program.changes() == ""


def test_of_two_that_claim_an_address_the_first_by_name_has_it_until_it_goes(examples: Any) -> None:
    program = Program(examples.node)
    for name in ("b", "a"):
        obj = examples.service(name, clusterIPs=["198.18.128.7"])
        program.put(*of(examples, obj, examples.slice(examples.endpoint("198.18.1.2"), service=name)))
    assert "198.18.128.7 . tcp . 80 : goto entry4/default/a/tcp/80" in program.text()
    program.put(ServiceKey("default", "a"), NOTHING)
    assert (
        "delete element inet kubelab services4 { 198.18.128.7 . tcp . 80 }\n"
        "add element inet kubelab services4 { 198.18.128.7 . tcp . 80 : goto entry4/default/b/tcp/80 }"
    ) in program.changes()


class Table:
    """What a kernel would hold, by following commands; it refuses what a kernel refuses."""

    def __init__(self) -> None:
        self.chains: dict[str, list[str]] = {}
        self.elements: dict[str, dict[str, str]] = {}

    def apply(self, text: str) -> None:
        for line in text.splitlines():
            verb, _, rest = line.partition(" ")
            kind, _, rest = rest.partition(" ")
            if not rest.startswith("inet kubelab ") or line.startswith(("table", "delete table", "\t")):
                continue
            name, _, body = rest.removeprefix("inet kubelab ").partition(" ")
            getattr(self, f"_{verb}_{kind}")(name, body)

    def _add_chain(self, name: str, _body: str) -> None:
        assert name not in self.chains
        self.chains[name] = []

    def _flush_chain(self, name: str, _body: str) -> None:
        self.chains[name] = []

    def _delete_chain(self, name: str, _body: str) -> None:
        assert not self.chains[name]
        used = [rule for rules in self.chains.values() for rule in rules] + [
            verdict for members in self.elements.values() for verdict in members.values()
        ]
        assert not any(text.endswith(f"goto {name}") for text in used)
        del self.chains[name]

    def _add_rule(self, name: str, body: str) -> None:
        if "goto " in body:
            assert body.rpartition("goto ")[2] in self.chains
        self.chains[name].append(body)

    def _add_element(self, name: str, body: str) -> None:
        for item in body.removeprefix("{ ").removesuffix(" }").split(", "):
            key, _, verdict = item.partition(" : ")
            assert key not in self.elements.setdefault(name, {})
            self.elements[name][key] = verdict

    def _delete_element(self, name: str, body: str) -> None:
        for key in body.removeprefix("{ ").removesuffix(" }").split(", "):
            del self.elements[name][key]

    def state(self) -> Any:
        return self.chains, {name: members for name, members in self.elements.items() if members}


service_changes = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from([0, 5, 6]),  # the last part of the cluster IP; 0 deletes the service
        st.lists(st.tuples(st.integers(1, 2), st.integers(2, 4)), max_size=3, unique=True),
        st.sampled_from(["ClusterIP", "LoadBalancer"]),
        st.sampled_from(["Cluster", "Local"]),
    ),
    max_size=8,
)


@given(changes=service_changes, batch=st.integers(1, 3))
def test_any_changes_lead_to_the_table_that_would_be_made_anew(examples: Any, changes: list[Any], batch: int) -> None:
    program, kernel = Program(examples.node), Table()
    kernel.apply(program.text())
    wanted: dict[ServiceKey, Fragment] = {}
    for number, (name, ip, endpoints, kind, policy) in enumerate(changes):
        ports = [{"name": "http", "port": 80, "nodePort": 30080 + ip}]
        obj = examples.service(
            name,
            type=kind,
            clusterIPs=[f"198.18.128.{ip}"],
            externalTrafficPolicy=policy,
            ports=ports,
            ingress=["198.51.100.100"],
        )
        members = [examples.endpoint(f"198.18.{node}.{host}", f"worker-{node}") for node, host in endpoints]
        key, part = of(examples, obj, examples.slice(*members, service=name))
        wanted[key] = part if ip else NOTHING
        program.put(key, wanted[key])
        if number % batch == 0:
            kernel.apply(program.changes())
    kernel.apply(program.changes())
    fresh, anew = Program(examples.node), Table()
    for key, part in wanted.items():
        fresh.put(key, part)
    anew.apply(fresh.text())
    assert kernel.state() == anew.state()
