"""What a MetalLB resource stands for: golden files for people, and upstream's operands as recorded, field by field."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest
import yaml

from metallb.advertisement.interfaces import Exclusion
from metallb.api.core import ObjectMeta
from metallb.api.net import InterfaceName
from metallb.api.v1beta1 import MetalLB, MetalLBSpec
from metallb.operator.installation import Installation
from metallb.operator.operands import EXCLUDED_INTERFACES, render

CASES = ("empty", "w4a", "w4b", "w4c", "w4d", "more")
INSTALLATION = Installation(
    namespace="metallb-system",
    controller_image="example.org/controller:v1",
    speaker_image="example.org/speaker:v1",
    version="v0.0.0",
)
Json = Any
Leaves = dict[str, Json]


def resource(spec: Json) -> MetalLB:
    metadata = ObjectMeta(name="metallb", namespace="metallb-system", uid="u-1")
    return MetalLB(metadata=metadata, spec=msgspec.convert(spec, MetalLBSpec))


def rendered(spec: Json, **changes: Any) -> dict[str, Json]:
    return {named(each): each for each in render(resource(spec), replace(INSTALLATION, **changes))}


def named(found: Json) -> str:
    return f"{found['kind']}/{found['metadata']['name']}"


def pod(found: Json) -> Json:
    return found["spec"]["template"]["spec"]


def container(found: Json) -> Json:
    return pod(found)["containers"][0]


@pytest.mark.parametrize("case", CASES)
def test_objects_are_those_of_the_golden_file(
    case: str, recorded: Callable[[str], Any], golden: Callable[[str, str], None]
) -> None:
    objects = list(rendered(recorded(f"operands/native-{case}.json")["spec"]).values())
    golden(f"operands/native-{case}.yaml", yaml.safe_dump_all(copy.deepcopy(objects), sort_keys=False, width=120))


# What the API server puts in where an object says nothing, by the end of its path.
SERVER_DEFAULTS: Leaves = {
    ".apiVersion@fieldRef": "v1",
    ".imagePullPolicy": "IfNotPresent",
    ".terminationMessagePath": "/dev/termination-log",
    ".terminationMessagePolicy": "File",
    ".successThreshold": 1,
    ".restartPolicy": "Always",
    ".dnsPolicy": "ClusterFirst",
    ".schedulerName": "default-scheduler",
    ".spec.replicas": 1,
    ".spec.revisionHistoryLimit": 10,
    ".spec.progressDeadlineSeconds": 600,
    ".spec.strategy.rollingUpdate.maxUnavailable": "25%",
    ".spec.strategy.rollingUpdate.maxSurge": "25%",
    ".spec.updateStrategy.rollingUpdate.maxUnavailable": 1,
    ".spec.updateStrategy.rollingUpdate.maxSurge": 0,
    '.metadata.annotations["deprecated.daemonset.template.generation"]': "1",
    ".spec.template.spec.serviceAccount": ...,
}


def leaves(value: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """Every scalar with its path; items of lists by name where they have one, so that their order counts for less."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f'{path}["{key}"]' if "." in key or "/" in key else f"{path}.{key}")
    elif isinstance(value, list):
        for position, item in enumerate(value):
            by_name = isinstance(item, dict) and "name" in item
            yield from leaves(item, f"{path}[{item['name'] if by_name else position}]")
    else:
        yield path, value


def is_default(path: str, value: Json) -> bool:
    if path.endswith(".fieldRef.apiVersion"):
        return bool(value == "v1")
    return any(path.endswith(end) and default in (value, ...) for end, default in SERVER_DEFAULTS.items())


def differences(theirs: Json, ours: Json) -> dict[str, tuple[Json, Json]]:
    one = {path: value for path, value in leaves(theirs) if not is_default(path, value)}
    other = {path: value for path, value in leaves(ours) if path != ".metadata.ownerReferences[metallb].uid"}
    return {
        path: (one.get(path), other.get(path))
        for path in sorted(one.keys() | other.keys())
        if one.get(path) != other.get(path)
    }


LABELS = {
    # The manager is named as it is: objects are found again by this label.
    '.metadata.labels["app.kubernetes.io/managed-by"]': ("Helm", "metallb-operator"),
    # There is no chart.
    '.metadata.labels["helm.sh/chart"]': ("metallb-0.0.0", None),
}


def probes(component: str) -> dict[str, tuple[Json, Json]]:
    """Ready within seconds instead of ten; a startup probe keeps liveness patient. The requests are upstream's."""
    host = {"host": "127.0.0.1"} if component == "speaker" else {}
    startup = {
        "httpGet": {"path": "/healthz", "port": 17472, "scheme": "HTTP"} | host,
        "periodSeconds": 1,
        "timeoutSeconds": 1,
        "failureThreshold": 60,
    }
    base = f".spec.template.spec.containers[{component}]"
    return {
        f"{base}.livenessProbe.initialDelaySeconds": (10, 1),
        f"{base}.readinessProbe.initialDelaySeconds": (10, 1),
        f"{base}.readinessProbe.periodSeconds": (10, 2),
        **{path: (None, value) for path, value in leaves(startup, f"{base}.startupProbe")},
    }


GRACE = ".spec.template.spec.terminationGracePeriodSeconds"
DOCUMENTED = {
    "ConfigMap/metallb-excludel2": LABELS,
    # A speaker hands its addresses over before it ends; a controller finishes the write that is under way.
    "DaemonSet/speaker": LABELS | probes("speaker") | {GRACE: (0, 10)},
    "Deployment/controller": LABELS | probes("controller") | {GRACE: (0, 5)},
    "NetworkPolicy/controller": {
        # Upstream's policy has no labels, so nothing finds it again to remove it.
        ".metadata.labels.app": (None, "metallb"),
        '.metadata.labels["app.kubernetes.io/managed-by"]': (None, "metallb-operator"),
        '.metadata.labels["app.kubernetes.io/version"]': (None, "v0.0.0"),
        # The API server is on 443 where a Service or a load balancer stands before it.
        ".spec.egress[0].ports[0].port": (6443, 443),
        ".spec.egress[0].ports[1].protocol": (None, "TCP"),
        ".spec.egress[0].ports[1].port": (None, 6443),
    },
}


@pytest.mark.parametrize("case", CASES)
def test_nothing_differs_from_upstream_but_what_is_documented(case: str, recorded: Callable[[str], Any]) -> None:
    upstream = recorded(f"operands/native-{case}.json")
    theirs = {named(each): each for each in upstream["objects"]}
    ours = rendered(upstream["spec"])
    assert {name: differences(theirs[name], ours[name]) for name in theirs} == DOCUMENTED
    assert ours.keys() == theirs.keys()


def test_order_of_arguments_and_environment_is_upstreams(recorded: Callable[[str], Any]) -> None:
    for case in CASES:
        upstream = recorded(f"operands/native-{case}.json")
        ours = rendered(upstream["spec"])
        for each in upstream["objects"]:
            if each["kind"] in {"DaemonSet", "Deployment"}:
                mine = ours[named(each)]
                assert container(mine)["args"] == container(each)["args"]
                assert [e["name"] for e in container(mine)["env"]] == [e["name"] for e in container(each)["env"]]
                assert pod(mine).get("tolerations") == pod(each).get("tolerations")


def test_the_same_resource_gives_the_same_objects() -> None:
    spec = {"speakerConfig": {"annotations": {"b": "1", "a": "2"}}}
    assert render(resource(spec), INSTALLATION) == render(resource(spec), INSTALLATION)


def test_rendering_leaves_the_resource_alone() -> None:
    drawn = resource({"nodeSelector": {"a": "b"}, "controllerConfig": {"annotations": {"a": "b"}}})
    before = msgspec.json.encode(drawn)
    for each in render(drawn, INSTALLATION):
        each["metadata"]["labels"]["x"] = "y"
        if "template" in each.get("spec", {}):
            each["spec"]["template"]["metadata"].setdefault("annotations", {})["x"] = "y"
    assert msgspec.json.encode(drawn) == before
    assert "x" not in render(drawn, INSTALLATION)[0]["metadata"]["labels"]


@pytest.mark.parametrize("name", ["DaemonSet/speaker", "Deployment/controller"])
def test_selectors_stay_as_they_are_whatever_is_set(name: str, recorded: Callable[[str], Any]) -> None:
    """They can't be changed on a living object: an upgrade from upstream would fail."""
    component = name.partition("/")[2]
    for case in CASES:
        found = rendered(recorded(f"operands/native-{case}.json")["spec"])[name]
        assert found["spec"]["selector"] == {"matchLabels": {"app": "metallb", "component": component}}
        assert found["spec"]["template"]["metadata"]["labels"] == {"app": "metallb", "component": component}


class TestSpec:
    def test_node_selectors_are_merged_and_the_users_win(self) -> None:
        spec = {
            "nodeSelector": {"kubernetes.io/os": "other", "node-role.kubernetes.io/worker": ""},
            "controllerNodeSelector": {"zone": "a"},
        }
        found = rendered(spec)
        assert pod(found["DaemonSet/speaker"])["nodeSelector"] == spec["nodeSelector"]
        assert pod(found["Deployment/controller"])["nodeSelector"] == {"kubernetes.io/os": "linux", "zone": "a"}

    def test_an_all_digit_runtime_class_stays_text(self) -> None:
        assert (
            pod(rendered({"speakerConfig": {"runtimeClassName": "123"}})["DaemonSet/speaker"])["runtimeClassName"]
            == "123"
        )

    def test_resources_reach_the_components_own_container(self) -> None:
        wanted = {"limits": {"cpu": "200m", "memory": 1073741824}, "claims": [{"name": "x"}]}
        found = rendered({"controllerConfig": {"resources": wanted}})
        assert container(found["Deployment/controller"])["resources"] == wanted
        assert "resources" not in container(found["DaemonSet/speaker"])

    def test_what_is_not_set_any_more_is_not_there(self) -> None:
        assert rendered({"speakerConfig": {}, "controllerConfig": {}}) == rendered({})

    def test_a_toleration_of_zero_seconds_survives(self) -> None:
        toleration = {"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0}
        found = rendered({"speakerTolerations": [toleration], "controllerTolerations": [toleration]})
        assert pod(found["DaemonSet/speaker"])["tolerations"][2:] == [toleration]
        assert pod(found["Deployment/controller"])["tolerations"] == [toleration]

    @pytest.mark.parametrize("level", [None, "debug", "none"])
    def test_log_level(self, level: str | None) -> None:
        for name in ("DaemonSet/speaker", "Deployment/controller"):
            assert f"--log-level={level or 'info'}" in container(rendered({"logLevel": level})[name])["args"]


class TestInstallation:
    def test_without_network_policies_there_is_none(self) -> None:
        assert "NetworkPolicy/controller" not in rendered({}, network_policies=False)

    def test_ports_and_tls_reach_both(self) -> None:
        found = rendered(
            {},
            metrics_port=1,
            liveness_port=2,
            memberlist_port=3,
            tls_cipher_suites="A,B",
            tls_curve_preferences="29",
            tls_min_version="VersionTLS12",
        )
        tls = ["--tls-cipher-suites=A,B", "--tls-curve-preferences=29", "--tls-min-version=VersionTLS12"]
        for name in ("DaemonSet/speaker", "Deployment/controller"):
            args = container(found[name])["args"]
            assert args[:2] == ["--port=1", "--health-probe-port=2"]
            assert args[-3:] == tls
            assert {
                container(found[name])[f"{kind}Probe"]["httpGet"]["port"]
                for kind in ("liveness", "readiness", "startup")
            } == {2}
        ports = {each["name"]: each["containerPort"] for each in container(found["DaemonSet/speaker"])["ports"]}
        assert ports == {"metricshttps": 1, "memberlist-tcp": 3, "memberlist-udp": 3}

    @pytest.mark.parametrize("image", ["repo", "host:5000/repo:tag", "repo@sha256:abc", "repo:tag@sha256:abc"])
    def test_images_are_used_as_written(self, image: str) -> None:
        found = rendered({}, controller_image=image, speaker_image=image)
        assert {container(found[name])["image"] for name in ("DaemonSet/speaker", "Deployment/controller")} == {image}


def test_a_speaker_gets_no_capability_but_raw_sockets() -> None:
    found = rendered({})
    assert container(found["DaemonSet/speaker"])["securityContext"]["capabilities"] == {
        "drop": ["ALL"],
        "add": ["NET_RAW"],
    }
    assert container(found["Deployment/controller"])["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_list_of_excluded_interfaces_is_read_back_by_the_speaker() -> None:
    text = rendered({})["ConfigMap/metallb-excludel2"]["data"]["excludel2.yaml"]
    patterns = yaml.safe_load(text)["announcedInterfacesToExclude"]
    assert patterns == list(EXCLUDED_INTERFACES)
    exclusion = Exclusion.parse(patterns)
    names = ("lo", "veth123", "cni0", "cali1", "docker0", "eth0", "bond0", "enp1s0", "lo1", "br-ex")
    assert [n for n in names if not exclusion.excludes(InterfaceName(n))] == ["eth0", "bond0", "enp1s0", "lo1", "br-ex"]


def test_every_object_goes_with_the_resource() -> None:
    for each in rendered({}).values():
        assert each["metadata"]["ownerReferences"] == [
            {
                "apiVersion": "metallb.io/v1beta1",
                "kind": "MetalLB",
                "name": "metallb",
                "uid": "u-1",
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ]
        assert each["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "metallb-operator"
