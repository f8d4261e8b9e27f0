"""The schema check gives the verdicts of a real API server, and says what is wrong where."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallb.api import kinds
from metallb.api.check import KEYWORDS, Broken, check, prune
from metallb.api.metadata import check_metadata
from metallb.api.rules import ABSENT
from metallb.api.schema import Kind, OldVersion, object_schema

Json = dict[str, Any]


def versions(kind: Kind) -> tuple[Kind | OldVersion, ...]:
    return kind, *kind.old


VERSIONS = [(kind.plural, of) for kind in kinds.KINDS for of in versions(kind)]
SCHEMAS = {(plural, of.version): object_schema(of) for plural, of in VERSIONS}
MODELS = {(plural, of.version): of.model for plural, of in VERSIONS}
INVALID = 422


def merged(old: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    kept = dict(old) if isinstance(old, dict) else {}
    for name, value in patch.items():
        kept.pop(name, None) if value is None else kept.update({name: merged(kept.get(name), value)})
    return kept


class Write:
    """A recorded write: the object that the server had to judge, and the one that it would replace."""

    def __init__(self, row: Json, value: Json, old: Any, of: tuple[str, str]) -> None:
        self.row, self.value, self.old, self.of = row, value, old, of

    @property
    def refused(self) -> bool:
        return bool(self.row["status"] == INVALID)

    @property
    def fields(self) -> set[str]:
        """The fields that were refused; a value out of its format's range is told without a field."""
        found = set()
        for cause in self.row["causes"]:
            if "must be of type integer with format" in cause["message"]:
                found.add(cause["message"].rpartition(" in ")[2])
            elif cause["field"] != "<nil>":
                found.add(cause["field"])
        return found


def writes(recorded: Callable[[str], Any]) -> Iterator[Write]:
    objects: dict[tuple[str, str], Json] = {}
    for row in recorded("crds/metallb.jsonl"):
        if row["method"] == "GET" or row["status"] == 404:
            continue
        version, _, _, plural, *rest = row["path"].split("/")[3:]
        key = plural, rest[0] if rest else row["body"]["metadata"]["name"]
        value = row["body"] if row["method"] == "POST" else merged(objects[key], row["body"])
        yield Write(row, value, objects.get(key, ABSENT), (plural, version))
        if row["stored"] is not None and row["method"] == "POST":
            objects[key] = row["stored"]


def found(of: tuple[str, str], value: Json, old: Any = ABSENT) -> tuple[list[Broken], list[Broken]]:
    """What a whole object breaks, and its unknown fields."""
    schema = SCHEMAS[of]
    bare = {name: part for name, part in value.items() if name != "metadata"}
    pruned = prune(schema, bare)
    return check(schema, pruned.value, old), pruned.unknown


def test_verdicts_are_those_recorded(recorded: Callable[[str], Any]) -> None:
    seen = []
    for write in writes(recorded):
        broken, unknown = found(write.of, write.value, write.old)
        assert {each.path for each in broken} == write.fields, write.row["name"]
        assert bool(broken) == write.refused, write.row["name"]
        warned = [text for text in write.row["warnings"] if "unknown field" in text]
        assert [f'299 - "unknown field \\"{each.path}\\""' for each in unknown] == warned, write.row["name"]
        seen.append(write.refused)
    assert (len(seen), sum(seen)) == (174, 49)


def test_what_is_stored_is_what_was_recorded(recorded: Callable[[str], Any]) -> None:
    for write in writes(recorded):
        if write.row["stored"] is not None:
            pruned = prune(SCHEMAS[write.of], write.value).value
            assert pruned.get("spec") == write.row["stored"].get("spec"), write.row["name"]


def test_what_the_schema_takes_the_parser_takes(recorded: Callable[[str], Any]) -> None:
    for write in writes(recorded):
        if not write.refused:
            pruned = prune(SCHEMAS[write.of], write.value).value
            msgspec.convert(pruned, MODELS[write.of])


@pytest.mark.parametrize("of", list(SCHEMAS), ids="/".join)
def test_no_schema_has_a_word_that_is_not_checked(of: tuple[str, str]) -> None:
    def words(schema: Json) -> set[str]:
        inner = [
            *schema.get("properties", {}).values(),
            *(schema[x] for x in ("items", "additionalProperties") if x in schema),
        ]
        return set(schema).union(*(words(each) for each in inner))

    assert words(SCHEMAS[of]) <= KEYWORDS


POOLS, PEERS = ("ipaddresspools", "v1beta1"), ("bgppeers", "v1beta2")


@pytest.mark.parametrize(
    ("of", "spec", "broken"),
    [
        (POOLS, {}, Broken("spec.addresses", "", "must be given")),
        (
            POOLS,
            {"addresses": "192.0.2.0/24"},
            Broken("spec.addresses", "192.0.2.0/24", "must be of type array, not string"),
        ),
        (POOLS, {"addresses": [None]}, Broken("spec.addresses[0]", "null", "must be of type string, not null")),
        (
            POOLS,
            {"addresses": [], "autoAssign": 1},
            Broken("spec.autoAssign", "1", "must be of type boolean, not integer"),
        ),
        (
            POOLS,
            {"addresses": [], "autoAssign": "yes"},
            Broken("spec.autoAssign", "yes", "must be of type boolean, not string"),
        ),
        (PEERS, {"myASN": True}, Broken("spec.myASN", "true", "must be of type integer, not boolean")),
        (PEERS, {"myASN": 1.5}, Broken("spec.myASN", "1.5", "must be of type integer, not number")),
        (PEERS, {"myASN": -1}, Broken("spec.myASN", "-1", "must be at least 0")),
        (PEERS, {"myASN": 1 << 32}, Broken("spec.myASN", "4294967296", "must be at most 4294967295")),
        (PEERS, {"myASN": 1, "dynamicASN": "x"}, Broken("spec.dynamicASN", "x", "must be one of internal, external")),
        (PEERS, {"myASN": 1, "password": 123456}, Broken("spec.password", "", "must be of type string, not integer")),
        (
            PEERS,
            {"myASN": 1, "connectTime": "x"},
            Broken("spec.connectTime", "x", "is refused: connectTime must be between 1 and 65535 seconds"),
        ),
        (
            ("metallbs", "v1beta1"),
            {"loadBalancerClass": "a\n"},
            Broken(
                "spec.loadBalancerClass",
                "a\n",
                r"must match ^([a-z0-9A-Z]([\w.\-]*[a-z0-9A-Z])?/)?[a-z0-9A-Z]([\w.\-]*[a-z0-9A-Z])?$",
            ),
        ),
        (
            ("metallbs", "v1beta1"),
            {"speakerConfig": {"resources": {"claims": [{"name": "a"}, {"name": "a"}]}}},
            Broken("spec.speakerConfig.resources.claims[1]", "a", "repeats the name of an earlier item"),
        ),
        (
            ("metallbs", "v1beta1"),
            {"speakerConfig": {"resources": {"limits": {"cpu": True}}}},
            Broken(
                "spec.speakerConfig.resources.limits.cpu", "true", "must be an integer or a string, not of type boolean"
            ),
        ),
        (
            ("bgppeers", "v1beta1"),
            {
                "myASN": 1,
                "peerASN": 1,
                "peerAddress": "",
                "nodeSelectors": [{"matchExpressions": [{"key": "a", "operator": "In", "values": []}]}],
            },
            Broken("spec.nodeSelectors[0].matchExpressions[0].values", "[]", "must have at least 1 items"),
        ),
        (
            ("bgpadvertisements", "v1beta1"),
            {"localPref": 1 << 31},
            Broken("spec.localPref", "2147483648", "must fit into 32 bits"),
        ),
    ],
)
def test_what_is_wrong_is_told_of_its_field(of: tuple[str, str], spec: Json, broken: Broken) -> None:
    assert broken in found(of, {"spec": spec})[0]


@pytest.mark.parametrize(
    ("of", "spec"),
    [
        pytest.param(PEERS, {"myASN": 64500.0}, id="a whole number with a point"),
        pytest.param(PEERS, {"myASN": 1, "holdTime": None, "nodeSelectors": None}, id="nulls are as absent"),
        pytest.param(PEERS, {"myASN": 1, "enableGracefulRestart": True}, id="a transition rule of what is new"),
        pytest.param(POOLS, {"addresses": [], "serviceAllocation": None}, id="a null object"),
    ],
)
def test_what_is_right(of: tuple[str, str], spec: Json) -> None:
    assert found(of, {"spec": spec}) == ([], [])


@pytest.mark.parametrize(
    ("old", "new", "refused"),
    [
        ({"enableGracefulRestart": True}, {"enableGracefulRestart": False}, True),
        ({"enableGracefulRestart": True}, {"enableGracefulRestart": True}, False),
        ({"enableGracefulRestart": True}, {}, False),
        ({}, {"enableGracefulRestart": True}, False),
    ],
)
def test_graceful_restart_is_not_changed(old: Json, new: Json, refused: bool) -> None:  # noqa: FBT001  # a column
    broken, _ = found(PEERS, {"spec": {"myASN": 1} | new}, {"spec": {"myASN": 1} | old})
    assert [each.path for each in broken] == (["spec.enableGracefulRestart"] if refused else [])


def test_rules_are_asked_only_of_what_is_right_otherwise() -> None:
    broken, _ = found(PEERS, {"spec": {"myASN": -1, "connectTime": "0s"}})
    assert [each.path for each in broken] == ["spec.myASN"]


def test_a_misspelt_field_is_told_with_the_one_that_was_meant() -> None:
    _, unknown = found(POOLS, {"spec": {"adresses": [], "serviceAllocation": {"prio": 1, "zzz": 1}}, "sepc": {}})
    assert unknown == [
        Broken("spec.adresses", "", "is an unknown field", "did you mean 'addresses'?"),
        Broken("spec.serviceAllocation.prio", "", "is an unknown field", "did you mean 'priority'?"),
        Broken("spec.serviceAllocation.zzz", "", "is an unknown field", ""),
        Broken("sepc", "", "is an unknown field", "did you mean 'spec'?"),
    ]


@pytest.mark.parametrize(
    ("metadata", "paths"),
    [
        (
            {
                "name": "a.b-c",
                "namespace": "x",
                "labels": {"a": "", "b.c/D_e": "F.g"},
                "annotations": {"a/b": "any text"},
            },
            [],
        ),
        ({"name": "a", "creationTimestamp": None, "managedFields": [{"any": {"thing": 1}}], "finalizers": ["a"]}, []),
        (None, ["metadata"]),
        ([], ["metadata"]),
        ({}, ["metadata.name"]),
        ({"generateName": "a-"}, ["metadata.name"]),
        ({"name": 5}, ["metadata.name"]),
        ({"name": "A"}, ["metadata.name"]),
        ({"name": "a\n"}, ["metadata.name"]),
        ({"name": "a" * 254}, ["metadata.name"]),
        ({"name": "a", "label": {}}, ["metadata.label"]),
        ({"name": "a", "labels": {"a": True}}, ["metadata.labels.a"]),
        ({"name": "a", "labels": {"a": "b c"}}, ["metadata.labels.a"]),
        ({"name": "a", "labels": {"a/b/c": "b"}}, ["metadata.labels"]),
        ({"name": "a", "annotations": {"": "b"}}, ["metadata.annotations"]),
        ({"name": "a", "creationTimestamp": "yesterday"}, ["metadata.creationTimestamp"]),
    ],
)
def test_metadata(metadata: Any, paths: list[str]) -> None:
    assert [each.path for each in check_metadata(metadata)] == paths


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "spec",
                    "status",
                    "metadata",
                    "addresses",
                    "nodeSelectors",
                    "matchLabels",
                    "connectTime",
                    "myASN",
                    "resources",
                    "limits",
                ]
            )
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(of=st.sampled_from(list(SCHEMAS)), value=JSON, old=JSON)
def test_no_value_stops_it(of: tuple[str, str], value: Any, old: Any) -> None:
    schema = SCHEMAS[of]
    assert isinstance(check(schema, prune(schema, value).value, prune(schema, old).value), list)
    assert isinstance(check_metadata(value), list)
