"""Each field of a MetalLB resource's spec: what it changes, in which object, and nothing else; without it all is as before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from metallb.api.core import ObjectMeta
from metallb.api.v1beta1 import FRRK8sConfig, MetalLB, MetalLBSpec, PodConfig
from metallb.operator.installation import Installation
from metallb.operator.operands import render

INSTALLATION = Installation(
    namespace="metallb-system",
    controller_image="example.org/controller:v1",
    speaker_image="example.org/speaker:v1",
    version="v0.0.0",
    frr_image="example.org/frr:v1",
    frrk8s_image="example.org/frr-k8s:v1",
)
CONTROLLER, SPEAKER = "Deployment/controller", "DaemonSet/speaker"
FRRK8S, CLEANER = "DaemonSet/frr-k8s", "Deployment/statuscleaner"
POD = "spec.template.spec"
TOLERATION = {"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}
AFFINITY = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": {}}]}}
RESOURCES = {"limits": {"cpu": "200m"}, "requests": {"memory": "1Gi"}}
Json = Any
NATIVE: Json = {}
WITH_FRRK8S: Json = {"bgpBackend": "frr-k8s"}
EXTERNAL: Json = {"bgpBackend": "frr-k8s-external"}
Effects = dict[str, dict[str, Json]]

FIELDS: list[tuple[str, Json, Json, Effects]] = [
    # field, its value, the rest of the spec, what appears by object and path
    ("image", "example.org/x", NATIVE, {}),
    ("logLevel", "debug", NATIVE, {name: {"args": ["--log-level=debug"]} for name in (CONTROLLER, SPEAKER)}),
    ("loadBalancerClass", "a/b", NATIVE, {name: {"args": ["--lb-class=a/b"]} for name in (CONTROLLER, SPEAKER)}),
    ("nodeSelector", {"zone": ""}, NATIVE, {SPEAKER: {f"{POD}.nodeSelector.zone": ""}}),
    ("nodeSelector", {"zone": ""}, WITH_FRRK8S, {name: {f"{POD}.nodeSelector.zone": ""} for name in (SPEAKER, FRRK8S)}),
    ("controllerNodeSelector", {"zone": ""}, NATIVE, {CONTROLLER: {f"{POD}.nodeSelector.zone": ""}}),
    ("speakerTolerations", [TOLERATION], NATIVE, {SPEAKER: {f"{POD}.tolerations": [TOLERATION]}}),
    (
        "speakerTolerations",
        [TOLERATION],
        WITH_FRRK8S,
        {name: {f"{POD}.tolerations": [TOLERATION]} for name in (SPEAKER, FRRK8S, CLEANER)},
    ),
    ("controllerTolerations", [TOLERATION], NATIVE, {CONTROLLER: {f"{POD}.tolerations": [TOLERATION]}}),
    *(
        row
        for name, component in (("controllerConfig", CONTROLLER), ("speakerConfig", SPEAKER))
        for row in (
            (f"{name}.priorityClassName", "high", NATIVE, {component: {f"{POD}.priorityClassName": "high"}}),
            (f"{name}.runtimeClassName", "123", NATIVE, {component: {f"{POD}.runtimeClassName": "123"}}),
            (f"{name}.affinity", AFFINITY, NATIVE, {component: {f"{POD}.affinity": AFFINITY}}),
            (
                f"{name}.annotations",
                {"a": "b"},
                NATIVE,
                {component: {"spec.template.metadata.annotations": {"a": "b"}}},
            ),
            (f"{name}.resources", RESOURCES, NATIVE, {component: {"resources": RESOURCES}}),
        )
    ),
    (
        "speakerConfig.priorityClassName",
        "high",
        WITH_FRRK8S,
        {name: {f"{POD}.priorityClassName": "high"} for name in (SPEAKER, FRRK8S, CLEANER)},
    ),
    (
        "speakerConfig.runtimeClassName",
        "x",
        WITH_FRRK8S,
        {name: {f"{POD}.runtimeClassName": "x"} for name in (SPEAKER, FRRK8S, CLEANER)},
    ),
    ("speakerConfig.affinity", AFFINITY, WITH_FRRK8S, {n: {f"{POD}.affinity": AFFINITY} for n in (SPEAKER, FRRK8S)}),
    ("speakerConfig.resources", RESOURCES, WITH_FRRK8S, {name: {"resources": RESOURCES} for name in (SPEAKER, FRRK8S)}),
    (
        "speakerConfig.annotations",
        {"a": "b"},
        WITH_FRRK8S,
        {SPEAKER: {"spec.template.metadata.annotations": {"a": "b"}}},
    ),
    (
        "frrk8sConfig.alwaysBlock",
        ["fd00::/8", "10.0.0.0/8"],
        WITH_FRRK8S,
        {FRRK8S: {"args": ["--always-block=10.0.0.0/8,fd00::/8"]}},
    ),
    ("frrk8sConfig.namespace", "there", EXTERNAL, {SPEAKER: {"args": ["--frrk8s-namespace=there"]}}),
    ("frrk8sConfig.secretPassthrough", True, EXTERNAL, {SPEAKER: {"args": ["--frrk8s-secret-passthrough"]}}),
    ("frrk8sConfig.alwaysBlock", ["10.0.0.0/8"], NATIVE, {}),
    ("frrk8sConfig.namespace", "there", NATIVE, {}),
    ("frrk8sConfig.secretPassthrough", True, NATIVE, {}),
]


def rendered(spec: Json) -> dict[str, Json]:
    metadata = ObjectMeta(name="metallb", namespace="metallb-system", uid="u-1")
    resource = MetalLB(metadata=metadata, spec=msgspec.convert(spec, MetalLBSpec))
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in render(resource, INSTALLATION)}


def with_field(rest: Json, field: str, value: Json) -> Json:
    outer, _, inner = field.partition(".")
    return rest | {outer: {inner: value} if inner else value}


def take_out(each: Json, path: str, wanted: Json) -> None:
    """Removes from an object what is expected in it.

    `args` and `resources` are those of a workload's containers; lists lose the last of their items, maps their key.
    """
    if path == "args":
        for container in each["spec"]["template"]["spec"]["containers"]:
            container["args"] = [arg for arg in container.get("args", []) if arg not in wanted]
        return
    holder = each["spec"]["template"]["spec"]["containers"][0] if path == "resources" else each
    *parents, last = [path] if path == "resources" else path.split(".")
    for name in parents:
        holder = holder[name]
    if last == "tolerations":
        count = len(wanted)
        assert holder[last][-count:] == wanted
        holder[last] = holder[last][:-count]
        if not holder[last]:
            del holder[last]
        return
    assert holder.pop(last) == wanted


def without_defaults(found: Json, field: str) -> Json:
    """Without the argument whose value is the default's: another value stands in its place."""
    default = {"logLevel": "--log-level=info", "frrk8sConfig.namespace": "--frrk8s-namespace="}.get(field)
    for each in found.values():
        for container in each.get("spec", {}).get("template", {}).get("spec", {}).get("containers", []):
            container["args"] = [arg for arg in container.get("args", []) if arg != default]
    return found


@pytest.mark.parametrize(("field", "value", "rest", "effects"), FIELDS)
def test_a_field_changes_what_it_is_for_and_nothing_else(field: str, value: Json, rest: Json, effects: Effects) -> None:
    found = rendered(with_field(rest, field, value))
    for name, expected in effects.items():
        for path, wanted in expected.items():
            before = msgspec.json.encode(found[name])
            take_out(found[name], path, wanted)
            assert msgspec.json.encode(found[name]) != before, f"{field} has no effect on {name}"
    assert without_defaults(found, field) == without_defaults(rendered(rest), field)


def names(kind: type, prefix: str = "") -> Iterator[str]:
    for each in msgspec.structs.fields(kind):
        inner = {"controllerConfig": PodConfig, "speakerConfig": PodConfig, "frrk8sConfig": FRRK8sConfig}
        if not prefix and each.encode_name in inner:
            yield from names(inner[each.encode_name], f"{each.encode_name}.")
        else:
            yield prefix + each.encode_name


def test_every_field_is_in_the_table() -> None:
    """The backend has tests of its own: it changes nearly everything."""
    assert {field for field, *_ in FIELDS} | {"bgpBackend"} == set(names(MetalLBSpec))


@pytest.mark.parametrize("field", sorted({field for field, *_ in FIELDS} - {"logLevel", "loadBalancerClass"}))
def test_an_empty_field_is_like_none(field: str) -> None:
    """What is removed goes back to its default; an empty level or class is refused by the definition."""
    value = next(value for name, value, *_ in FIELDS if name == field)
    for rest in (NATIVE, WITH_FRRK8S, EXTERNAL):
        empty = with_field(rest, field, None if isinstance(value, dict) and "." in field else type(value)())
        if field.endswith(".annotations"):
            empty = with_field(rest, field, {})
        assert rendered(empty) == rendered(rest)
