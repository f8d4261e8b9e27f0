"""Rules of the MetalLB resource, each by example, and how a review of it is answered."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallb.api.core import ObjectMeta
from metallb.api.v1beta1 import MetalLB, MetalLBSpec
from metallb.operator.admitting import answer
from metallb.operator.validation import errors, new_errors
from metallb.operator.warnings import warnings

NAMESPACE = "metallb-system"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
NODE_TERM = {"preference": {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}}
POD_TERM = {"podAffinityTerm": {"topologyKey": "kubernetes.io/hostname"}}
Json = Any


def resource(spec: Json, name: str = "metallb", namespace: str = NAMESPACE, **metadata: Any) -> MetalLB:
    meta = ObjectMeta(name=name, namespace=namespace, uid="u-1", **metadata)
    return MetalLB(metadata=meta, spec=msgspec.convert(spec, MetalLBSpec))


def toleration(component: str, **fields: Any) -> Json:
    return {
        f"{component}Tolerations": [{"key": "k", "operator": "Exists"}, {"key": "k", "operator": "Exists"} | fields]
    }


def preferred(component: str, kind: str, weight: int) -> Json:
    term = {"weight": weight} | (NODE_TERM if kind == "nodeAffinity" else POD_TERM)
    return {f"{component}Config": {"affinity": {kind: {PREFERRED: [term]}}}}


def weight_path(component: str, kind: str) -> str:
    return f"spec.{component}Config.affinity.{kind}.{PREFERRED}[0].weight"


COMPONENTS = ("controller", "speaker")
KINDS = ("nodeAffinity", "podAffinity", "podAntiAffinity")
EFFECT = "must be NoExecute when tolerationSeconds is set"
BROKEN = [
    *[
        pytest.param(
            toleration(each, effect="NoSchedule", tolerationSeconds=seconds),
            f"spec.{each}Tolerations[1].effect: 'NoSchedule' {EFFECT}",
            id=f"{each} {seconds} s of NoSchedule",
        )
        for each in COMPONENTS
        for seconds in (30, 0, -1)
    ],
    pytest.param(
        toleration("speaker", tolerationSeconds=1), f"spec.speakerTolerations[1].effect: '' {EFFECT}", id="any effect"
    ),
    pytest.param(
        toleration("speaker", effect="Never"),
        "spec.speakerTolerations[1].effect: 'Never' must be empty or one of NoSchedule, PreferNoSchedule, NoExecute",
        id="unknown effect",
    ),
    pytest.param(
        toleration("controller", operator="In"),
        "spec.controllerTolerations[1].operator: 'In' must be one of Exists, Equal, Lt, Gt",
        id="unknown operator",
    ),
    pytest.param(
        toleration("controller", key="", operator="Equal"),
        "spec.controllerTolerations[1].operator: 'Equal' must be Exists when key is empty, which means every taint",
        id="no key",
    ),
    pytest.param(
        toleration("controller", value="v"),
        "spec.controllerTolerations[1].value: 'v' must be empty when operator is Exists",
        id="a value that must exist",
    ),
    *[
        pytest.param(
            preferred(each, kind, weight),
            f"{weight_path(each, kind)}: '{weight}' must be from 1 to 100",
            id=f"{each} {kind} {weight}",
        )
        for each in COMPONENTS
        for kind in KINDS
        for weight in (0, 101, -1)
    ],
    pytest.param(
        {"bgpBackend": "bird"},
        "spec.bgpBackend: 'bird' must be one of native, frr, frr-k8s, frr-k8s-external",
        id="unknown backend",
    ),
    pytest.param(
        {"bgpBackend": "frr-k8s-external"},
        "spec.bgpBackend: 'frr-k8s-external' needs spec.frrk8sConfig.namespace: where the external frr-k8s runs; "
        "the operator has no default for it",
        id="external without a namespace",
    ),
    *[
        pytest.param(
            {"frrk8sConfig": {"alwaysBlock": ["10.0.0.0/8", text]}},
            f"spec.frrk8sConfig.alwaysBlock[1]: {text!r} must be a CIDR such as 192.0.2.0/24",
            id=f"no CIDR {text!r}",
        )
        for text in ("10.0.0.0", "", "10.0.0.0/33", "10.0.0.0/255.0.0.0", "fe80::1%eth0/64", "x/8", "::/129", "1.2.3/8")
    ],
]


@pytest.mark.parametrize(("spec", "text"), BROKEN)
def test_a_broken_rule_names_object_field_value_and_rule(spec: Json, text: str) -> None:
    assert [str(each) for each in errors(resource(spec))] == [f"MetalLB metallb-system/metallb: {text}"]


@pytest.mark.parametrize(
    "spec",
    [
        {},
        toleration("speaker", effect="NoExecute", tolerationSeconds=30),
        toleration("controller", effect="NoExecute", tolerationSeconds=0),
        toleration("speaker", key="", effect=""),
        toleration("speaker", operator="", value="v", effect="PreferNoSchedule"),
        toleration("speaker", operator="Gt", value="5"),
        *[preferred(each, kind, weight) for each in COMPONENTS for kind in KINDS for weight in (1, 10, 100)],
        {"speakerConfig": {}, "controllerConfig": {"affinity": {}}},
        *[{"bgpBackend": each} for each in ("", "native", "frr", "frr-k8s")],
        {"bgpBackend": "frr-k8s-external", "frrk8sConfig": {"namespace": "elsewhere"}},
        {"frrk8sConfig": {"alwaysBlock": ["192.168.1.7/24", " 10.0.0.0/8 ", "fd00::1/64", "::/0", "0.0.0.0/0"]}},
    ],
)
def test_what_keeps_the_rules_is_taken(spec: Json) -> None:
    assert errors(resource(spec)) == ()


def test_a_default_of_the_operator_is_a_namespace_for_an_external_frr_k8s() -> None:
    assert errors(resource({"bgpBackend": "frr-k8s-external"}), "frr-k8s-system") == ()


def test_all_that_is_wrong_is_said_at_once() -> None:
    spec = {"bgpBackend": "x"} | preferred("speaker", "podAffinity", 0) | toleration("controller", effect="y")
    fields = [each.field for each in errors(resource(spec))]
    expected = ["spec.controllerTolerations[1].effect", weight_path("speaker", "podAffinity"), "spec.bgpBackend"]
    assert fields == expected


def test_what_got_in_earlier_stands_in_the_way_of_no_other_change() -> None:
    bad = {"bgpBackend": "x"}
    before, after = resource(bad), resource(bad | {"logLevel": "debug"})
    assert new_errors(after, before) == ()
    assert [each.field for each in new_errors(after)] == ["spec.bgpBackend"]
    worse = resource(bad | preferred("speaker", "nodeAffinity", 0))
    assert [each.field for each in new_errors(worse, before)] == [weight_path("speaker", "nodeAffinity")]
    assert new_errors(resource(bad, deletion_timestamp="2026-01-01T00:00:00Z")) == ()


WARNED = [
    pytest.param(resource({}), (), id="empty"),
    pytest.param(
        resource({}, name="other"),
        ("metadata.name: 'other' is not served: the resource must be called 'metallb'",),
        id="another name",
    ),
    pytest.param(
        resource({}, namespace="default"),
        ("metadata.namespace: 'default' is not served: the operator's is 'metallb-system'",),
        id="another namespace",
    ),
    pytest.param(
        resource({"image": "x"}),
        ("spec.image is deprecated and has no effect: images are settings of the operator",),
        id="image",
    ),
    pytest.param(
        resource({"bgpBackend": "frr"}),
        ("spec.bgpBackend: 'frr' is not in this version: use 'native' or leave it empty; what runs goes on",),
        id="backend of a later version",
    ),
    pytest.param(
        resource({"frrk8sConfig": {"alwaysBlock": ["::/0"], "namespace": "x", "secretPassthrough": True}}),
        (
            "spec.frrk8sConfig.alwaysBlock has no effect: it is for the backend 'frr-k8s'",
            "spec.frrk8sConfig.namespace has no effect: it is for the backend 'frr-k8s-external'",
            "spec.frrk8sConfig.secretPassthrough has no effect: it is for the backend 'frr-k8s-external'",
        ),
        id="settings of other backends",
    ),
    pytest.param(
        resource(
            {
                "speakerConfig": {
                    "affinity": {
                        "podAffinity": {
                            "requiredDuringSchedulingIgnoredDuringExecution": [
                                {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"a": "b"}}}
                            ]
                        }
                    }
                }
            }
        ),
        (
            (
                "spec.speakerConfig.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0]: "
                "no speaker runs on a node without such a pod, and none announces from there"
            ),
        ),
        id="W4c: speakers that need a neighbour",
    ),
]


@pytest.mark.parametrize(("found", "texts"), WARNED)
def test_what_has_no_effect_is_warned_of(found: MetalLB, texts: tuple[str, ...]) -> None:
    name = f"MetalLB {found.metadata.namespace}/{found.metadata.name}"
    assert warnings(found, NAMESPACE) == tuple(f"{name}: {text}" for text in texts)


def review(after: Json, before: Json = None, operation: str = "CREATE") -> Json:
    body = {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "u",
            "operation": operation,
            "namespace": NAMESPACE,
            "name": "metallb",
            "object": after,
            "oldObject": before,
        },
    }
    return json.loads(answer(json.dumps(body).encode(), NAMESPACE))["response"]


def written(spec: Json) -> Json:
    metadata = {"name": "metallb", "namespace": NAMESPACE}
    return {"apiVersion": "metallb.io/v1beta1", "kind": "MetalLB", "metadata": metadata, "spec": spec}


class TestReviews:
    def test_a_good_one_is_allowed_without_a_word(self) -> None:
        assert review(written({})) == {"uid": "u", "allowed": True}

    def test_a_bad_one_is_refused_with_every_reason(self) -> None:
        spec = {"bgpBackend": "x"} | preferred("speaker", "podAffinity", 0)
        found = review(written(spec))
        assert (found["allowed"], found["status"]["code"]) == (False, 403)
        assert found["status"]["message"].splitlines() == [str(each) for each in errors(resource(spec))]

    def test_an_update_is_judged_by_what_it_brings(self) -> None:
        bad = written({"bgpBackend": "x"})
        assert review(bad, written({}), "UPDATE")["allowed"] is False
        assert review(bad, bad, "UPDATE")["allowed"] is True

    def test_warnings_come_with_the_answer(self) -> None:
        found = review(written({"image": "x"}))
        assert found["allowed"] is True
        assert found["warnings"] == list(warnings(resource({"image": "x"}), NAMESPACE))

    def test_a_deletion_is_allowed_whatever_is_deleted(self) -> None:
        assert review(None, written({"bgpBackend": "x"}), "DELETE") == {"uid": "u", "allowed": True}

    @pytest.mark.parametrize("after", [None, {"spec": {"nodeSelector": 3}}, {"spec": "x"}])
    def test_what_can_not_be_read_is_a_bad_request(self, after: Json) -> None:
        found = review(after)
        assert (found["allowed"], found["status"]["code"]) == (False, 400)
        assert "MetalLB metallb-system/metallb" in found["status"]["message"]


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8), st.lists))
def test_no_spec_makes_the_answer_fail(spec: Json) -> None:
    assert "allowed" in review(written(spec))


@pytest.mark.parametrize("backend", ["native", "frr"])
def test_recorded_examples_are_taken(backend: str, recorded: Callable[[str], Any]) -> None:
    for case in ("empty", "w4a", "w4b", "w4c", "w4d", "more"):
        spec = recorded(f"operands/native-{case}.json")["spec"] | {"bgpBackend": backend}
        assert errors(resource(spec)) == ()
