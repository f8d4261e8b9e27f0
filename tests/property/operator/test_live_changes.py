"""Whatever a MetalLB resource went through, what it stands for depends on how it is now only."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from metallb.api.core import ObjectMeta
from metallb.api.v1beta1 import MetalLB, MetalLBSpec
from metallb.operator.installation import Installation
from metallb.operator.operands import render
from metallb.operator.validation import BACKENDS, errors

INSTALLATION = Installation("ns", "controller:1", "speaker:1", "v1", frr_image="frr:1", frrk8s_image="frr-k8s:1")
NAMES = st.from_regex(r"\A[a-z]{1,8}\Z")
MAPS = st.dictionaries(NAMES, NAMES, max_size=2)
TOLERATIONS = st.lists(st.fixed_dictionaries({"key": NAMES, "operator": st.just("Exists")}), max_size=2)
CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "priorityClassName": NAMES,
        "runtimeClassName": NAMES,
        "annotations": MAPS,
        "resources": st.fixed_dictionaries({"limits": st.fixed_dictionaries({"cpu": st.just("1")})}),
        "affinity": st.fixed_dictionaries({"nodeAffinity": st.just({})}),
    },
)
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "nodeSelector": MAPS,
        "controllerNodeSelector": MAPS,
        "speakerTolerations": TOLERATIONS,
        "controllerTolerations": TOLERATIONS,
        "controllerConfig": CONFIGS,
        "speakerConfig": CONFIGS,
        "logLevel": st.sampled_from(["all", "debug", "info", "warn", "error", "none"]),
        "loadBalancerClass": NAMES,
        "bgpBackend": st.sampled_from(["", *BACKENDS]),
        "frrk8sConfig": st.fixed_dictionaries({"namespace": NAMES}),
    },
)
FIELDS = ("nodeSelector", "speakerTolerations", "logLevel", "bgpBackend", "controllerNodeSelector")
Json = Any


def objects(spec: Json) -> dict[tuple[str, str], Json]:
    metadata = ObjectMeta(name="metallb", namespace="ns", uid="u")
    resource = MetalLB(metadata=metadata, spec=msgspec.convert(spec, MetalLBSpec))
    return {(each["kind"], each["metadata"]["name"]): each for each in render(resource, INSTALLATION)}


@given(SPECS)
def test_the_same_spec_stands_for_the_same_objects_and_leaves_none_of_another(spec: Json) -> None:
    assert objects(spec) == objects(msgspec.json.decode(msgspec.json.encode(spec)))


@given(SPECS, st.sampled_from(FIELDS))
def test_a_field_that_is_emptied_is_as_one_that_never_was(spec: Json, field: str) -> None:
    without = {name: value for name, value in spec.items() if name != field}
    empty: Json = {"logLevel": None, "bgpBackend": "", "speakerTolerations": []}.get(field, {})
    assert objects(without | {field: empty}) == objects(without)


@given(SPECS)
def test_every_object_has_a_name_of_its_own_and_what_is_always_there_is_there(spec: Json) -> None:
    found = objects(spec)
    assert {("DaemonSet", "speaker"), ("Deployment", "controller"), ("ConfigMap", "metallb-excludel2")} <= found.keys()
    assert ("DaemonSet", "frr-k8s") in found or spec.get("bgpBackend") != "frr-k8s"


@given(SPECS)
def test_what_can_be_rendered_names_only_mounts_that_have_volumes(spec: Json) -> None:
    for each in objects(spec).values():
        pod = each.get("spec", {}).get("template", {}).get("spec")
        if pod is None:
            continue
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in (*pod.get("initContainers", []), *pod["containers"]):
            assert {mount["name"] for mount in container.get("volumeMounts", [])} <= volumes


@given(SPECS)
def test_generated_specs_break_no_rule(spec: Json) -> None:
    """What the others are tried with is what the webhook lets through."""
    metadata = ObjectMeta(name="metallb", namespace="ns")
    found = errors(MetalLB(metadata=metadata, spec=msgspec.convert(spec, MetalLBSpec)), "elsewhere")
    assert found == ()
