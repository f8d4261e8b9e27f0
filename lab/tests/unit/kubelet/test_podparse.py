"""From a pod's object to what is run: defaults, rights, refusals."""

from __future__ import annotations

from typing import Any

import pytest

from kubelab.kubelet.environment import MissingError, Place, environment, expand, field_value
from kubelab.kubelet.images import ImageMap
from kubelab.kubelet.podspec import ALL_CAPABILITIES, DEFAULT_CAPABILITIES, HttpGet, TcpSocket

PLACE = Place("worker-1", ("198.51.100.11", "2001:db8:100::11"), ("198.18.1.2", "2001:db8:200:1::2"), "198.18.128.1")


@pytest.mark.parametrize(
    ("context", "wanted"),
    [
        pytest.param({}, DEFAULT_CAPABILITIES, id="nothing said"),
        pytest.param({"capabilities": {"drop": ["ALL"]}}, frozenset(), id="none"),
        pytest.param({"capabilities": {"drop": ["ALL"], "add": ["NET_RAW"]}}, frozenset({"NET_RAW"}), id="just one"),
        pytest.param({"capabilities": {"drop": ["NET_RAW"]}}, DEFAULT_CAPABILITIES - {"NET_RAW"}, id="one less"),
        pytest.param({"capabilities": {"add": ["CAP_NET_ADMIN"]}}, DEFAULT_CAPABILITIES | {"NET_ADMIN"}, id="one more"),
        pytest.param({"capabilities": {"add": ["ALL"]}}, ALL_CAPABILITIES, id="all"),
        pytest.param({"privileged": True}, ALL_CAPABILITIES, id="privileged"),
    ],
)
def test_capabilities_are_exactly_what_is_said(pods: Any, context: dict[str, Any], wanted: frozenset[str]) -> None:
    pod = pods.parsed(containers=[{"name": "c", "image": "web", "securityContext": context}])
    assert pod.containers[0].security.capabilities == wanted


def test_a_container_overrides_its_pod(pods: Any) -> None:
    pod = pods.parsed(
        securityContext={"runAsUser": 1, "runAsGroup": 2, "fsGroup": 3, "supplementalGroups": [4]},
        containers=[{"name": "c", "image": "web", "securityContext": {"runAsUser": 7}}],
    )
    security = pod.containers[0].security
    assert (security.user, security.group, security.groups) == (7, 2, (4, 3))


@pytest.mark.parametrize(
    ("spec", "refusal"),
    [
        ({"hostPID": True}, "spec.hostPID: the lab cannot share process or IPC namespaces"),
        ({"shareProcessNamespace": True}, "spec.shareProcessNamespace: the lab cannot share process or IPC namespaces"),
        ({"volumes": [{"name": "v", "nfs": {}}]}, "volumes[v]: the lab has no volumes of kind nfs"),
        (
            {"securityContext": {"runAsNonRoot": True, "runAsUser": 0}},
            "containers[c].securityContext: container's runAsUser breaks non-root policy",
        ),
    ],
)
def test_what_the_lab_cannot_do_is_named(pods: Any, spec: dict[str, Any], refusal: str) -> None:
    assert pods.parsed(**spec).containers[0].refusals == (refusal,)


@pytest.mark.parametrize(
    ("more", "refusal"),
    [
        ({"lifecycle": {"preStop": {}}}, "containers[c].lifecycle: the lab runs no postStart or preStop hooks"),
        (
            {"livenessProbe": {"grpc": {"port": 1}}},
            "containers[c].livenessProbe: the lab knows httpGet, tcpSocket and exec",
        ),
        ({"livenessProbe": {"httpGet": {"port": "x"}}}, "containers[c].livenessProbe: no container port is named 'x'"),
        (
            {"securityContext": {"capabilities": {"add": ["FLY"]}}},
            "containers[c].securityContext.capabilities: no capability is called FLY",
        ),
        (
            {"env": [{"name": "E", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}]},
            "containers[c].env[E].valueFrom: the lab knows fieldRef, configMapKeyRef and secretKeyRef",
        ),
    ],
)
def test_what_a_container_cannot_have_is_named(pods: Any, more: dict[str, Any], refusal: str) -> None:
    assert pods.parsed(containers=[{"name": "c", "image": "web", **more}]).containers[0].refusals == (refusal,)


def test_probes_find_their_port_by_name_and_have_the_apis_defaults(pods: Any) -> None:
    container = {
        "name": "c",
        "image": "web",
        "ports": [{"name": "http", "containerPort": 8080}],
        "livenessProbe": {
            "httpGet": {"port": "http", "path": "live", "scheme": "HTTPS", "httpHeaders": [{"name": "A", "value": "b"}]}
        },
        "readinessProbe": {"tcpSocket": {"port": "9000", "host": "127.0.0.1"}, "timeoutSeconds": 5},
    }
    probes = pods.parsed(containers=[container]).containers[0].probes
    assert probes["liveness"].action == HttpGet("", 8080, "/live", https=True, headers=(("A", "b"),))
    assert (probes["liveness"].period_s, probes["liveness"].timeout_s, probes["liveness"].failure_threshold) == (
        10,
        1,
        3,
    )
    assert probes["readiness"].action == TcpSocket("127.0.0.1", 9000)
    assert probes["readiness"].timeout_s == 5


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "p"),
        ("metadata.namespace", "default"),
        ("metadata.uid", "u1"),
        ("metadata.labels['app']", "x"),
        ("metadata.labels['none']", ""),
        ("metadata.labels", 'app="x"\nq="a\\"b"'),
        ("spec.nodeName", "worker-1"),
        ("spec.serviceAccountName", "speaker"),
        ("status.hostIP", "198.51.100.11"),
        ("status.podIP", "198.18.1.2"),
        ("status.podIPs", "198.18.1.2,2001:db8:200:1::2"),
    ],
)
def test_fields_a_pod_may_be_told(pods: Any, path: str, value: str) -> None:
    pod = pods.parsed(metadata={"labels": {"app": "x", "q": 'a"b'}}, serviceAccountName="speaker")
    assert field_value(pod, PLACE, path) == value


def test_a_field_it_may_not_be_told_is_named(pods: Any) -> None:
    with pytest.raises(MissingError, match=r"unsupported fieldPath: spec\.containers"):
        field_value(pods.parsed(), PLACE, "spec.containers")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("--node=$(NODE)", "--node=n1"),
        ("$(UNKNOWN)", "$(UNKNOWN)"),
        ("$$(NODE)", "$(NODE)"),
        ("$NODE $(NODE) $", "$NODE n1 $"),
        ("$$$(NODE)", "$n1"),
    ],
)
def test_references_are_resolved_as_kubernetes_does(text: str, wanted: str) -> None:
    assert expand(text, {"NODE": "n1"}) == wanted


OBJECTS = {
    ("configmap", "conf"): {"data": {"A": "1", "bad key": "x"}},
    ("secret", "pass"): {"data": {"word": "c2VjcmV0"}},
}


def lookup(kind: str, name: str) -> dict[str, Any] | None:
    return OBJECTS.get((kind, name))  # type: ignore[return-value]  # the literal above


def test_the_environment_is_made_of_all_its_sources(pods: Any) -> None:
    env = [
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "pass", "key": "word"}}},
        {"name": "MAYBE", "valueFrom": {"secretKeyRef": {"name": "none", "key": "x", "optional": True}}},
        {"name": "BOTH", "value": "$(NODE)/$(WORD)/$(P_A)"},
        {"name": "P_A", "value": "over"},
    ]
    sources = [{"prefix": "P_", "configMapRef": {"name": "conf"}}, {"secretRef": {"name": "none", "optional": True}}]
    pod = pods.parsed(containers=[{"name": "c", "image": "web", "env": env, "envFrom": sources}])
    values = environment(pod, pod.containers[0], PLACE, lookup)
    assert values["BOTH"] == "worker-1/secret/1"
    assert values["P_A"] == "over"
    assert values["KUBERNETES_SERVICE_HOST"] == "198.18.128.1"
    assert values["KUBERNETES_SERVICE_PORT"] == "443"
    assert "MAYBE" not in values
    assert "P_bad key" not in values


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"valueFrom": {"secretKeyRef": {"name": "none", "key": "x"}}}, 'secret "none" not found'),
        (
            {"valueFrom": {"configMapKeyRef": {"name": "conf", "key": "x"}}},
            "couldn't find key x in ConfigMap default/conf",
        ),
    ],
)
def test_what_is_missing_is_named(pods: Any, entry: dict[str, Any], message: str) -> None:
    pod = pods.parsed(containers=[{"name": "c", "image": "web", "env": [{"name": "E", **entry}]}])
    with pytest.raises(MissingError) as caught:
        environment(pod, pod.containers[0], PLACE, lookup)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("command", "args", "argv"),
    [
        ([], ["x"], ["/py", "-m", "m", "x"]),
        (["/speaker"], ["--a"], ["/py", "speaker", "--a"]),
        (["/speaker", "more"], [], ["/py", "speaker", "more"]),
        (["/bin/sh", "-c", "a b"], [], ["whole"]),
        (["/bin/echo", "hi"], ["you"], ["/bin/echo", "hi", "you"]),
    ],
)
def test_image_and_command_name_a_program(command: list[str], args: list[str], argv: list[str]) -> None:
    table = {"m": {"": ["{python}", "-m", "m"], "/speaker": ["{python}", "speaker"], "/bin/sh -c a b": ["whole"]}}
    images = ImageMap([{}, table, {"m": {"": ["never"]}}], python="/py")
    assert images.argv("m", command, args) == argv


def test_an_image_that_is_not_in_the_map_is_no_image() -> None:
    with pytest.raises(KeyError):
        ImageMap([{}]).argv("x", [], [])
