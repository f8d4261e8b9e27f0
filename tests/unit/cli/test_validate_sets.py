"""A set of manifests is judged as a whole, alone and on top of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from metallb.api import v1beta1
from metallb.api.core import Namespace, Node, ObjectMeta
from metallb.cli.documents import Document, read_text
from metallb.cli.findings import Finding
from metallb.cli.judging import Present, Report, judge
from metallb.cli.objects import Reader
from metallb.config.build import Snapshot
from metallb.config.change import FIELDS, Change
from metallb.config.errors import ObjectName
from metallb.config.judging import judge as by_webhook
from metallb.config.surroundings import Surroundings
from metallb.operator.backend import DEPLOYABLE

Json = dict[str, Any]
NS = "metallb-system"


def custom(kind: str, name: str, spec: Json, **metadata: Any) -> Json:
    version = "v1beta2" if kind == "BGPPeer" else "v1beta1"
    return {"apiVersion": f"metallb.io/{version}", "kind": kind, "metadata": {"name": name} | metadata, "spec": spec}


def pool(name: str, *addresses: str, **spec: Any) -> Json:
    return custom("IPAddressPool", name, {"addresses": list(addresses)} | spec)


ALL = custom("L2Advertisement", "all", {})


def judged(values: Sequence[Json], present: Present | None = None, **options: Any) -> Report:
    documents = [Document(f"{number}.yaml", 1, value) for number, value in enumerate(values)]
    return judge(documents, **({"namespace": NS, "backend": "native", "present": present} | options))


def told(report: Report, severity: str) -> list[tuple[str, str]]:
    return [(each.file, each.field or each.rule) for each in report.findings if each.severity == severity]


def in_cluster(*objects: Any, **options: Any) -> Present:
    named = {ObjectName(type(each).__name__, each.metadata.namespace, each.metadata.name): each for each in objects}
    return Present(named, **options)


def test_the_order_of_files_makes_no_difference() -> None:
    values = [pool("b", "192.0.2.0/24"), pool("a", "192.0.2.0/25"), ALL]
    for order in ([0, 1, 2], [2, 1, 0]):
        report = judged([values[each] for each in order])
        (error,) = [each for each in report.findings if each.severity == "error"]
        assert (str(error.object), [str(each) for each in error.others]) == (
            f"IPAddressPool {NS}/b",
            [f"IPAddressPool {NS}/a"],
        )


def test_an_object_that_is_wrong_by_its_schema_is_judged_no_further() -> None:
    report = judged([pool("a", "192.0.2.0/24"), pool("b", "192.0.2.0/24", autoAssign="yes"), ALL])
    assert told(report, "error") == [("1.yaml", "spec.autoAssign")]


def test_an_object_with_errors_has_no_warnings() -> None:
    assert told(judged([pool("a", "192.0.2.0/33")]), "warning") == []
    assert len(told(judged([pool("a", "192.0.2.0/24")]), "warning")) == 1


def test_files_bring_their_own_namespaces_nodes_and_secrets() -> None:
    peer = {"myASN": 64500, "peerASN": 64501, "peerAddress": "192.0.2.1", "passwordSecret": {"name": "s"}}
    values = [custom("BGPPeer", "p", peer), custom("BGPAdvertisement", "a", {}), pool("a", "192.0.2.0/24")]
    assert judged(values).findings == ()
    other = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "t"}, "type": "kubernetes.io/basic-auth"}
    assert told(judged([*values, other]), "transient") == [("0.yaml", "spec.passwordSecret.name")]
    wrong = other | {"metadata": {"name": "s"}, "type": "Opaque"}
    assert told(judged([*values, wrong]), "error") == [("0.yaml", "spec.passwordSecret.name")]
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "n"},
        "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.9"}]},
    }
    (warning,) = [rule for _, rule in told(judged([*values, node]), "warning")]
    assert "n (192.0.2.9)" in warning


def test_services_that_would_lose_their_address_are_counted(make_pool: Any, make_service: Any) -> None:
    present = in_cluster(make_pool("first", "192.0.2.0/24"))
    services = [make_service(f"s{number}", ips=(f"192.0.2.{number}",)) for number in range(1, 4)]
    present.objects.update(
        {ObjectName("Service", each.metadata.namespace, each.metadata.name): each for each in services}
    )
    report = judged([pool("first", "192.0.2.2/31"), ALL], present)
    (warning,) = [each for each in report.findings if each.severity == "warning"]
    assert "1 Service would lose" in warning.rule
    assert "default/s1" in warning.rule


def test_a_file_replaces_its_namesake_in_the_cluster(make_pool: Any) -> None:
    present = in_cluster(make_pool("first", "192.0.2.0/24"))
    assert told(judged([pool("second", "192.0.2.0/25"), ALL], present), "error") == [("0.yaml", "spec.addresses[0]")]
    both = [pool("second", "192.0.2.0/25"), pool("first", "192.0.2.128/25"), ALL]
    assert told(judged(both, present), "error") == []


def test_of_a_file_and_the_cluster_the_file_is_to_blame(make_pool: Any) -> None:
    there = make_pool("zzz", "192.0.2.0/24")
    metadata = structs.replace(there.metadata, creation_timestamp="2026-01-01T00:00:00Z")
    present = in_cluster(structs.replace(there, metadata=metadata))
    old = pool("aaa", "192.0.2.0/25")
    old["metadata"]["creationTimestamp"] = "2020-01-01T00:00:00Z"
    assert told(judged([old, ALL], present), "error") == [("0.yaml", "spec.addresses[0]")]


def test_what_is_wrong_in_the_cluster_anyway_only_warns(make_pool: Any) -> None:
    present = in_cluster(make_pool("a", "192.0.2.0/24"), make_pool("b", "192.0.2.0/24"))
    report = judged([pool("c", "198.51.100.0/24"), ALL], present)
    (only,) = report.findings
    assert (only.severity, only.file, only.document, only.line) == ("warning", "", 0, None)
    assert "in the cluster already" in only.rule
    assert str(only).startswith("in the cluster: warning: IPAddressPool metallb-system/b: spec.addresses")
    assert told(judged([pool("b", "192.0.2.0/24"), ALL], present), "error") == [("0.yaml", "spec.addresses[0]")]


def test_what_could_not_be_read_of_the_cluster_is_noted() -> None:
    report = judged([pool("a", "192.0.2.0/24"), ALL], Present(notes=("secrets can't be read",)))
    assert [(each.severity, each.rule) for each in report.findings] == [("warning", "secrets can't be read")]


def test_secrets_of_the_cluster_are_known_when_there_are_none() -> None:
    peer = {"myASN": 64500, "peerASN": 64501, "peerAddress": "192.0.2.1", "passwordSecret": {"name": "s"}}
    values = [custom("BGPPeer", "p", peer), custom("BGPAdvertisement", "a", {}), pool("a", "192.0.2.0/24")]
    known = in_cluster(Namespace(metadata=ObjectMeta(name=NS)), secrets_known=True)
    assert told(judged(values, known), "transient") == [("0.yaml", "spec.passwordSecret.name")]


def test_nodes_of_the_cluster_tell_who_meets() -> None:
    peer = {"myASN": 64500, "peerASN": 64501, "peerAddress": "192.0.2.1"}

    def on(node: str) -> Json:
        return {"nodeSelectors": [{"matchLabels": {"host": node}}]}

    values = [custom("BGPPeer", "a", peer | on("n1")), custom("BGPPeer", "b", peer | on("n2"))]
    nodes = [Node(metadata=ObjectMeta(name=name, labels={"host": name})) for name in ("n1", "n2")]
    present = Present({ObjectName("Node", "", each.metadata.name): each for each in nodes})
    assert told(judged(values, present, backend="frr"), "error") == []
    assert told(judged(values, None, backend="frr"), "error") != []


def test_a_name_in_the_shape_of_a_community_is_an_error_as_for_the_webhook() -> None:
    values = [custom("BGPAdvertisement", "a", {"communities": ["1:2:3", "name"]}), pool("a", "192.0.2.0/24")]
    assert told(judged(values), "error") == [("0.yaml", "spec.communities[0]")]
    assert told(judged(values), "transient") == [("0.yaml", "spec.communities[1]")]


@pytest.mark.parametrize(
    ("name", "backend", "told"),
    [
        ("metallb", "native", []),
        ("metallb", "bird", [("error", "spec.bgpBackend")]),
        ("metallb", "frr", [] if "frr" in DEPLOYABLE else [("warning", "spec.bgpBackend")]),
        ("other", "", [("error", "metadata.name")]),
    ],
)
def test_of_an_installation_is_said_what_the_operator_would_say(name: str, backend: str, told: list[Any]) -> None:
    found = judged([custom("MetalLB", name, {"bgpBackend": backend})]).findings
    assert [(each.severity, each.field) for each in found] == told


def test_findings_come_in_the_order_of_the_files() -> None:
    text = "---\n".join(
        f"{{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {{name: {n}}},\n spec: {{addresses: [x,\n w]}}}}\n"
        for n in "ba"
    )
    documents = [*read_text("b", text), *read_text("a", text.replace("name: ", "name: c"))]
    report = judge(documents, namespace=NS, backend="native")
    assert [(each.file, each.document, each.line) for each in report.findings] == [
        *(("a", 1, 2), ("a", 1, 3), ("a", 2, 6), ("a", 2, 7), ("b", 1, 2), ("b", 1, 3), ("b", 2, 6), ("b", 2, 7)),
    ]


SPECS: dict[str, st.SearchStrategy[Json]] = {
    "IPAddressPool": st.fixed_dictionaries(
        {
            "addresses": st.lists(
                st.sampled_from(["192.0.2.0/24", "192.0.2.1-192.0.2.9", "2001:db8::/120", "x"]), max_size=2
            )
        }
    ),
    "BGPPeer": st.fixed_dictionaries(
        {"myASN": st.sampled_from([0, 1]), "peerASN": st.sampled_from([0, 1, 2])},
        optional={
            "peerAddress": st.sampled_from(["192.0.2.1", "x"]),
            "bfdProfile": st.just("a"),
            "holdTime": st.sampled_from(["2s", "90s", "x"]),
        },
    ),
    "BGPAdvertisement": st.fixed_dictionaries(
        {},
        optional={
            "communities": st.lists(st.sampled_from(["1:2", "a", "1:2:3"]), max_size=2),
            "aggregationLength": st.sampled_from([0, 8, 24, 33]),
            "peers": st.just(["a"]),
        },
    ),
    "Community": st.fixed_dictionaries(
        {
            "communities": st.lists(
                st.fixed_dictionaries({"name": st.just("a"), "value": st.sampled_from(["1:2", "x"])}), max_size=2
            )
        }
    ),
    "BFDProfile": st.fixed_dictionaries({}, optional={"echoMode": st.booleans()}),
    "L2Advertisement": st.fixed_dictionaries({}, optional={"ipAddressPools": st.just(["a", "a"])}),
}
OBJECTS = st.sampled_from(sorted(SPECS)).flatmap(
    lambda kind: st.builds(custom, st.just(kind), st.sampled_from(["a", "b"]), SPECS[kind])
)


@given(st.lists(OBJECTS, max_size=6), st.sampled_from(["native", "frr", "frr-k8s"]))
def test_every_finding_names_an_object_of_a_file_and_a_rule(values: list[Json], backend: str) -> None:
    report = judged(values, backend=backend)
    assert report.judged == len(values)
    for each in report.findings:
        assert each.object is not None
        assert each.rule
        number = int(each.file.removesuffix(".yaml"))
        assert (each.object.kind, each.object.name) == (values[number]["kind"], values[number]["metadata"]["name"])


@given(st.lists(OBJECTS, max_size=5, unique_by=lambda each: (each["kind"], each["metadata"]["name"])), st.randoms())
def test_a_set_has_one_verdict(values: list[Json], chance: Any) -> None:
    def verdict(of: list[Json]) -> set[Any]:
        return {(each.severity, each.object, each.field, each.rule) for each in judged(of).findings}

    shuffled = list(values)
    chance.shuffle(shuffled)
    assert verdict(values) == verdict(shuffled)


@given(st.lists(OBJECTS, max_size=5), OBJECTS, st.sampled_from(["native", "frr"]))
def test_one_file_on_top_of_a_cluster_is_judged_as_by_the_webhook(
    values: list[Json], value: Json, backend: Any
) -> None:
    reader = Reader(NS)
    read = [reader.read(Document("", 1, created(each))) for each in values]
    objects = {each.name: each.resource for each in read if each.name is not None and each.resource is not None}
    after = reader.read(Document("", 1, value))
    if after.name is None or after.resource is None:
        return
    objects.pop(after.name, None)
    by_kind: dict[str, Any] = {
        field: [each for name, each in objects.items() if name.kind == kind] for kind, field in FIELDS.items()
    }
    change = Change(*after.name, None, after.resource)
    verdict = by_webhook(Snapshot(**by_kind, backend=backend), Surroundings(), change, namespace=NS)
    findings = [each for each in judged([value], Present(objects), backend=backend).findings if each.file]
    errors = {sentence(each) for each in findings if each.severity == "error"}
    assert errors == set(map(str, verdict.errors))
    if not errors:
        assert {sentence(each) for each in findings} == set(verdict.warnings)


def created(value: Json) -> Json:
    """As a cluster has it."""
    return value | {"metadata": value["metadata"] | {"creationTimestamp": "2026-01-01T00:00:00Z"}}


def sentence(found: Finding) -> str:
    """As the webhook prints it."""
    if not found.field:
        return f"{found.object}: {found.rule}"
    hint = f"; {found.hint}" if found.hint else ""
    return f"{found.object}: {found.field}: {found.value!r} {found.rule}{hint}"


def test_pools_of_the_cluster_are_typed(make_pool: Callable[..., v1beta1.IPAddressPool]) -> None:
    """Nothing to say: the file is what the cluster has."""
    present = in_cluster(
        make_pool("a", "192.0.2.0/24"), v1beta1.L2Advertisement(metadata=ObjectMeta(name="all", namespace=NS))
    )
    assert judged([pool("a", "192.0.2.0/24")], present).findings == ()


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_judge_is_no_error(count: int) -> None:
    report = judged([{"apiVersion": "v1", "kind": "ConfigMap"}] * count)
    assert (report.findings, report.judged, report.ignored) == ((), 0, count)
