"""What a MetalLB resource stands for: golden files for people, and upstream's operands as recorded, field by field."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import yaml

from metallb.advertisement.interfaces import Exclusion
from metallb.api.core import ObjectMeta
from metallb.api.net import InterfaceName
from metallb.api.v1beta1 import MetalLB, MetalLBSpec
from metallb.kube.resources import resource_of
from metallb.operator.installation import Installation
from metallb.operator.operands import CLUSTER_SCOPED, EXCLUDED_INTERFACES, render

CASES = tuple(f"native-{each}" for each in ("empty", "w4a", "w4b", "w4c", "w4d", "more"))
RECORDED = (*CASES, "frr-empty", "frr-w4d", "frr-k8s-empty")
INSTALLATION = Installation(
    namespace="metallb-system",
    controller_image="example.org/controller:v1",
    speaker_image="example.org/speaker:v1",
    version="v0.0.0",
    frr_image="example.org/frr:v1",
    frrk8s_image="example.org/frr-k8s:v1",
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


@pytest.mark.parametrize("case", RECORDED)
def test_objects_are_those_of_the_golden_file(
    case: str, recorded: Callable[[str], Any], golden: Callable[[str, str], None]
) -> None:
    objects = list(rendered(recorded(f"operands/{case}.json")["spec"]).values())
    golden(f"operands/{case}.yaml", yaml.safe_dump_all(copy.deepcopy(objects), sort_keys=False, width=120))


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
    # Of Services and webhook configurations.
    ".spec.clusterIP": ...,
    ".spec.clusterIPs[0]": ...,
    ".spec.ipFamilies[0]": ...,
    ".spec.ipFamilyPolicy": "SingleStack",
    ".spec.internalTrafficPolicy": "Cluster",
    ".spec.sessionAffinity": "None",
    ".spec.type": "ClusterIP",
    ".clientConfig.service.port": 443,
    ".rules[0].scope": "*",
    ".matchPolicy": "Equivalent",
    "webhook.metallb.io].timeoutSeconds": 10,
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


def meant(path: str, value: Json) -> Json:
    """Files of FRR without comments and with single spaces."""
    if not path.startswith(".data") or path == '.data["excludel2.yaml"]':
        return value
    lines = (" ".join(line.replace('="', '=" ').split()) for line in value.splitlines())
    return sorted(line for line in lines if line and line[0] not in "#!")


def is_default(path: str, value: Json) -> bool:
    if path.endswith(".fieldRef.apiVersion"):
        return bool(value == "v1")
    return any(path.endswith(end) and default in (value, ...) for end, default in SERVER_DEFAULTS.items())


def differences(theirs: Json, ours: Json) -> dict[str, tuple[Json, Json]]:
    one = {path: meant(path, value) for path, value in leaves(theirs) if not is_default(path, value)}
    other = {
        path: meant(path, value) for path, value in leaves(ours) if path != ".metadata.ownerReferences[metallb].uid"
    }
    return {
        path: (one.get(path), other.get(path))
        for path in sorted(one.keys() | other.keys())
        if one.get(path) != other.get(path)
    }


PAGE = Path(__file__).parents[3] / "docs" / "reference" / "differences.md"
ROW = re.compile(r"^\| (`\w+/.*?) \| `(.*?)` \| (.*?) \| (.*?) \| (.*?) \|$", re.MULTILINE)
OBJECT = re.compile(r"`([^`]+)`(?: \(([^)]+)\))?")


class Row(NamedTuple):
    """A line of the page: where upstream's objects and ours differ, and why."""

    objects: tuple[tuple[str, str], ...]
    path: str
    theirs: Json
    ours: Json
    reason: str

    def differences(self, name: str, backend: str) -> dict[str, tuple[Json, Json]]:
        """The leaves of one object."""
        if not any(each == name and only in ("", backend) for each, only in self.objects):
            return {}
        one, other = (dict(leaves(value, self.path)) if value is not None else {} for value in (self.theirs, self.ours))
        return {path: (one.get(path), other.get(path)) for path in one | other}


def rows() -> list[Row]:
    def value(cell: str) -> Json:
        return None if cell == "–" else json.loads(cell.strip("`"))  # noqa: RUF001  # a dash, as in the page

    return [
        Row(tuple(OBJECT.findall(objects)), path, value(theirs), value(ours), reason)
        for objects, path, theirs, ours, reason in ROW.findall(PAGE.read_text())
    ]


def backend_of(case: str) -> str:
    return case.rpartition("-")[0]


@pytest.mark.parametrize("case", RECORDED)
def test_nothing_differs_from_upstream_but_what_is_documented(case: str, recorded: Callable[[str], Any]) -> None:
    upstream = recorded(f"operands/{case}.json")
    theirs = {named(each): each for each in upstream["objects"]}
    ours = rendered(upstream["spec"])
    assert ours.keys() == theirs.keys()
    for name, object_ in theirs.items():
        expected: dict[str, tuple[Json, Json]] = {}
        for row in rows():
            expected |= row.differences(name, backend_of(case))
        assert differences(object_, ours[name]) == expected, name


def test_each_documented_difference_is_one_and_has_a_reason(recorded: Callable[[str], Any]) -> None:
    made = {
        (named(each), backend_of(case)) for case in RECORDED for each in recorded(f"operands/{case}.json")["objects"]
    }
    found = rows()
    assert len(found) >= 20
    for row in found:
        assert len(row.reason) > 5
        for name, only in row.objects:
            assert any(name == each and only in ("", backend) for each, backend in made), name


def test_order_of_arguments_and_environment_is_upstreams(recorded: Callable[[str], Any]) -> None:
    for case in RECORDED:
        upstream = recorded(f"operands/{case}.json")
        ours = rendered(upstream["spec"])
        for each in upstream["objects"]:
            if each["kind"] in {"DaemonSet", "Deployment"}:
                mine = ours[named(each)]
                for one, other in zip(pod(mine)["containers"], pod(each)["containers"], strict=True):
                    assert one["name"] == other["name"]
                    assert one.get("args") == other.get("args")
                    assert [e["name"] for e in one.get("env", [])] == [e["name"] for e in other.get("env", [])]
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
        found = rendered(recorded(f"operands/{case}.json")["spec"])[name]
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


class TestBackends:
    @pytest.mark.parametrize(
        ("backend", "kind"), [("native", None), ("frr", "frr"), ("frr-k8s", "frr-k8s"), ("frr-k8s-external", "frr-k8s")]
    )
    def test_processes_are_told_of_the_backend(self, backend: str, kind: str | None) -> None:
        for name in ("DaemonSet/speaker", "Deployment/controller"):
            environment = {
                each["name"]: each.get("value") for each in container(rendered({"bgpBackend": backend})[name])["env"]
            }
            assert environment.get("METALLB_BGP_TYPE") == kind

    def test_an_external_frr_k8s_is_named_and_nothing_of_it_is_made(self) -> None:
        found = rendered({"bgpBackend": "frr-k8s-external"}, frrk8s_namespace="elsewhere")
        assert found.keys() == rendered({}).keys()
        assert container(found["DaemonSet/speaker"])["args"][3:] == ["--frrk8s-namespace=elsewhere"]
        spec = {"namespace": "there", "secretPassthrough": True}
        found = rendered({"bgpBackend": "frr-k8s-external", "frrk8sConfig": spec, "loadBalancerClass": "x"})
        assert container(found["DaemonSet/speaker"])["args"][3:] == [
            "--lb-class=x",
            "--frrk8s-namespace=there",
            "--frrk8s-secret-passthrough",
        ]
        assert rendered({"frrk8sConfig": spec}) == rendered({}), "no other backend has a use for it"

    def test_what_speakers_are_set_to_reaches_frr_k8s_as_far_as_upstream_passes_it_on(self) -> None:
        config = {
            "priorityClassName": "p",
            "runtimeClassName": "1",
            "affinity": {"podAffinity": {}},
            "resources": {"limits": {"cpu": "1"}},
            "annotations": {"a": "b"},
        }
        toleration = {"key": "k", "operator": "Exists"}
        found = rendered(
            {
                "bgpBackend": "frr-k8s",
                "nodeSelector": {"zone": "a"},
                "speakerTolerations": [toleration],
                "speakerConfig": config,
                "logLevel": "debug",
                "frrk8sConfig": {"alwaysBlock": ["fd00::/8", "10.0.0.0/8"]},
            }
        )
        daemon_set, cleaner = found["DaemonSet/frr-k8s"], found["Deployment/statuscleaner"]
        assert pod(daemon_set)["nodeSelector"] == {"kubernetes.io/os": "linux", "zone": "a"}
        assert pod(daemon_set)["affinity"] == config["affinity"]
        assert container(daemon_set)["resources"] == config["resources"]
        assert "--always-block=10.0.0.0/8,fd00::/8" in container(daemon_set)["args"]
        assert not {"nodeSelector", "affinity"} & pod(cleaner).keys()
        assert "resources" not in container(cleaner)
        for each in (daemon_set, cleaner):
            assert pod(each)["tolerations"][2:] == [toleration]
            assert (pod(each)["priorityClassName"], pod(each)["runtimeClassName"]) == ("p", "1")
            assert "--log-level=debug" in container(each)["args"]
            assert "a" not in each["spec"]["template"]["metadata"].get("annotations", {})

    def test_resources_never_reach_frr_beside_a_speaker(self) -> None:
        spec = {"bgpBackend": "frr", "speakerConfig": {"resources": {"limits": {"cpu": "1"}}}}
        containers = pod(rendered(spec)["DaemonSet/speaker"])["containers"]
        assert [each["name"] for each in containers if "resources" in each] == ["speaker"]

    def test_ports_and_tls_reach_frr(self) -> None:
        found = rendered({"bgpBackend": "frr"}, frr_metrics_port=1, tls_min_version="VersionTLS12")
        exporter = next(e for e in pod(found["DaemonSet/speaker"])["containers"] if e["name"] == "frr-metrics")
        assert exporter["args"] == [
            "--metrics-port=1",
            "--metrics-bind-address=0.0.0.0",
            "--tls-min-version=VersionTLS12",
        ]
        found = rendered({"bgpBackend": "frr-k8s"}, frrk8s_metrics_port=2, frrk8s_frr_metrics_port=3)
        ports = [
            port["containerPort"]
            for each in pod(found["DaemonSet/frr-k8s"])["containers"]
            for port in each.get("ports", [])
        ]
        assert ports == [2, 3]


class TestOpenShift:
    def test_speakers_get_constraints_of_their_own(self) -> None:
        found = rendered({}, openshift=True)
        constraints = found["SecurityContextConstraints/metallb-speaker"]
        assert constraints["allowedCapabilities"] == ["NET_RAW"]
        assert constraints["requiredDropCapabilities"] == ["ALL"]
        assert {key for key, value in constraints.items() if value is True} == {"allowHostNetwork", "allowHostPorts"}
        assert "ownerReferences" not in constraints["metadata"]
        assert not any("SecurityContextConstraints" in each for each in rendered({}))

    def test_the_annotation_of_the_constraints_stays_beside_the_users_own(self) -> None:
        spec = {"speakerConfig": {"annotations": {"speaker": "demo", "openshift.io/required-scc": "privileged"}}}
        template = rendered(spec, openshift=True)["DaemonSet/speaker"]["spec"]["template"]
        assert template["metadata"]["annotations"] == {
            "speaker": "demo",
            "openshift.io/required-scc": "metallb-speaker",
        }

    def test_the_platform_chooses_the_user(self) -> None:
        found = rendered({"bgpBackend": "frr-k8s"}, openshift=True)
        assert pod(found["Deployment/controller"])["securityContext"] == {"runAsNonRoot": True}
        assert container(found["Deployment/controller"])["command"] == ["/controller"]
        assert pod(found["Deployment/statuscleaner"])["securityContext"] == {"runAsNonRoot": True}
        assert "--disable-cert-rotation=true" in container(found["Deployment/statuscleaner"])["args"]
        assert "Secret/frr-k8s-webhook-server-cert" not in found

    @pytest.mark.parametrize("monitors", ["", "service"])
    def test_certificates_are_mounted_where_the_services_are_that_have_them_made(self, monitors: str) -> None:
        found = rendered({}, openshift=True, monitors=monitors)
        for name in ("controller", "speaker"):
            workload = found[f"{'Deployment' if name == 'controller' else 'DaemonSet'}/{name}"]
            mounted = any(each["name"] == "metrics-certs" for each in container(workload)["volumeMounts"])
            volumes = {each["name"]: each for each in pod(workload)["volumes"]}
            told = "--metrics-cert-dir=/etc/metrics" in container(workload)["args"]
            assert (mounted, "metrics-certs" in volumes, told) == (bool(monitors),) * 3
            if monitors:
                annotations = found[f"Service/{name}-monitor-service"]["metadata"]["annotations"]
                secret = annotations["service.beta.openshift.io/serving-cert-secret-name"]
                assert volumes["metrics-certs"]["secret"]["secretName"] == secret == f"{name}-certs-secret"


class TestMonitors:
    def test_there_are_none_unless_asked_for(self) -> None:
        assert not any("onitor" in each or "Prometheus" in each for each in rendered({"bgpBackend": "frr"}))

    @pytest.mark.parametrize("backend", ["native", "frr", "frr-k8s"])
    def test_service_monitors_find_pods_by_services_that_select_them(self, backend: str) -> None:
        found = rendered({"bgpBackend": backend}, monitors="service")
        components = {"controller", "speaker"} | ({"frr-k8s"} if backend == "frr-k8s" else set())
        assert {each for each in found if each.startswith("ServiceMonitor")} == {
            f"ServiceMonitor/{name}-monitor" for name in components
        }
        for name in components:
            monitor, service = found[f"ServiceMonitor/{name}-monitor"], found[f"Service/{name}-monitor-service"]
            workload = found[f"{'Deployment' if name == 'controller' else 'DaemonSet'}/{name}"]
            assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
            labels = workload["spec"]["template"]["metadata"]["labels"]
            assert service["spec"]["selector"].items() <= labels.items()
            open_ports = {p["containerPort"] for c in pod(workload)["containers"] for p in c.get("ports", [])}
            ports = {each["name"]: each["targetPort"] for each in service["spec"]["ports"]}
            assert set(ports.values()) <= open_ports
            assert [each["port"] for each in monitor["spec"]["endpoints"]] == list(ports)

    def test_pod_monitors_select_pods_by_labels_that_they_have(self) -> None:
        found = rendered({"bgpBackend": "frr-k8s"}, monitors="pod")
        assert not any(each.startswith("Service/") and "monitor" in each for each in found)
        for name, kind in (("controller", "Deployment"), ("speaker", "DaemonSet"), ("frr-k8s", "DaemonSet")):
            labels = found[f"{kind}/{name}"]["spec"]["template"]["metadata"]["labels"]
            assert found[f"PodMonitor/{name}"]["spec"]["selector"]["matchLabels"].items() <= labels.items()

    @pytest.mark.parametrize("monitors", ["service", "pod"])
    def test_alerts_come_with_the_monitors_and_are_those_of_the_manifest(self, monitors: str) -> None:
        alerts = rendered({}, monitors=monitors)["PrometheusRule/metallb-alerts"]
        manifest = yaml.safe_load((Path(__file__).parents[3] / "manifests/monitoring/alerts.yaml").read_text())
        assert alerts["metadata"]["name"] == manifest["metadata"]["name"]
        assert alerts["spec"] == manifest["spec"]


@pytest.mark.parametrize("backend", ["native", "frr", "frr-k8s"])
def test_a_policy_selects_pods_of_ours_only(backend: str) -> None:
    """One that selected all pods of a namespace would cut off whoever shares it."""
    policies = [each for each in rendered({"bgpBackend": backend}).values() if each["kind"] == "NetworkPolicy"]
    assert policies
    for each in policies:
        assert each["spec"]["podSelector"]["matchLabels"]["app"] == "metallb"


def test_every_object_is_of_a_kind_that_can_be_applied() -> None:
    for backend in ("native", "frr", "frr-k8s", "frr-k8s-external"):
        for monitors in ("service", "pod"):
            found = rendered({"bgpBackend": backend}, monitors=monitors, openshift=True)
            for each in found.values():
                kind = resource_of(each["apiVersion"], each["kind"])
                assert kind.namespaced is (each["kind"] not in CLUSTER_SCOPED)
                assert ("namespace" in each["metadata"]) is kind.namespaced
