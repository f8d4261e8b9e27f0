"""Pods, nodes, workloads and classes, measured against recorded exchanges."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from kubelab.apiserver.builtin import nodes, quantities
from kubelab.objects import GroupResource, Object

_VECTORS = Path(__file__).parents[2] / "vectors" / "apiserver"
PODS = GroupResource("", "pods")
NODES = GroupResource("", "nodes")
DEPLOYMENTS = GroupResource("apps", "deployments")
DAEMON_SETS = GroupResource("apps", "daemonsets")


def _lines(file: str) -> list[Object]:
    return [json.loads(line) for line in (_VECTORS / f"{file}.jsonl").read_text(encoding="utf-8").splitlines()]


RECORDED = _lines("workloads")
BY_NAME = {line["name"]: line for line in RECORDED}


def _resource(path: str) -> GroupResource:
    parts = path.partition("?")[0].strip("/").split("/")
    group = "" if parts[0] == "api" else parts[1]
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    return GroupResource(group, rest[2] if rest[0] == "namespaces" and len(rest) > 2 else rest[0])


def _is_creation(line: Object) -> bool:
    return bool(
        line.get("method") == "POST" and line["status"] == 201 and not re.search("/pods/|/services$", line["path"])
    )


_OTHER = [
    line
    for file in ("admission", "deletion", "access")
    for line in _lines(file)
    if _is_creation(line)
    and line["response"].get("kind") not in {"CustomResourceDefinition", "Tower", "TokenReview", "TokenRequest"}
    and not str(line["response"].get("kind")).endswith("Review")
    and "inject" not in str(line["response"])
]
CREATED = [line for line in RECORDED if _is_creation(line)] + _OTHER


def compared(obj: Object) -> Object:
    """Without what varies, and without what OpenShift's branch adds to every pod."""
    kept = {key: value for key, value in copy.deepcopy(obj).items() if key != "metadata"}
    metadata = obj.get("metadata", {})
    kept |= {key: metadata[key] for key in ("labels", "annotations") if metadata.get(key)}
    for volume in kept.get("spec", {}).get("volumes") or []:
        sources = volume.get("projected", {}).get("sources", [])
        sources[:] = [one for one in sources if one.get("configMap", {}).get("name") != "openshift-service-ca.crt"]
    text = re.sub(r"kube-api-access-[a-z0-9]{5}", "kube-api-access-x", json.dumps(kept))
    plain: Object = json.loads(text)
    return plain


def _classes(desk: Any) -> None:
    for name in ("priority class", "runtime class"):
        line = BY_NAME[name]
        desk.create(_resource(line["path"]), line["body"])


def test_there_are_enough_creations_to_compare() -> None:
    assert len(CREATED) > 35


PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


@pytest.mark.parametrize("line", CREATED, ids=lambda line: line["name"])
def test_a_new_object_comes_back_as_recorded(guarded: Any, line: Object) -> None:
    _classes(guarded)
    namespace = re.search("/namespaces/([^/]+)/", line["path"])
    if namespace and namespace.group(1) != "default":
        guarded.create(GroupResource("", "namespaces"), {"metadata": {"name": namespace.group(1)}})
    created = guarded.create(_resource(line["path"]), line["body"], namespace.group(1) if namespace else "default")
    assert compared(created) == compared(line["response"])


@pytest.mark.parametrize("name", ["priority class missing", "runtime class missing", "pod invalid"])
def test_a_bad_pod_is_refused_as_recorded(guarded: Any, refused: Any, name: str) -> None:
    line = BY_NAME[name]
    assert refused(guarded.create, PODS, line["body"]).status() == line["response"]


def test_a_bad_webhook_configuration_is_refused_as_recorded(desk: Any, refused: Any) -> None:
    line = next(line for line in _lines("admission") if line["name"] == "bad configuration")
    assert refused(desk.create, _resource(line["path"]), line["body"]).status() == line["response"]


def _recorded_pods() -> list[Object]:
    pods: list[Object] = []
    for line in RECORDED:
        response = line.get("response")
        if isinstance(response, dict) and line.get("path", "").startswith("/api/v1/namespaces/default/pods"):
            pods += response.get("items") or ([response] if response.get("kind") == "Pod" else [])
    return pods


def test_defaults_leave_recorded_objects_as_they_are(desk: Any) -> None:
    pods = _recorded_pods()
    assert len(pods) > 20
    for pod in pods:
        again = copy.deepcopy(pod)
        desk.strategy(PODS).default(again)
        assert again == pod


def test_a_nodes_status_is_written_as_recorded(guarded: Any, merged: Any) -> None:
    guarded.create(NODES, BY_NAME["node n1"]["body"])
    line = BY_NAME["node status n1"]
    updated = guarded.update(NODES, "", "n1", lambda obj: merged(obj, copy.deepcopy(line["body"])), "status")
    assert updated["status"] == line["response"]["status"]


def _pod(**spec: Any) -> Object:
    return {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i:1"}]} | spec}


def test_a_daemon_set_counts_changes_of_its_template(guarded: Any) -> None:
    guarded.create(DAEMON_SETS, BY_NAME["daemonset"]["body"])

    def relabel(obj: Object) -> None:
        obj["metadata"]["labels"] = {"a": "b"}

    def renew(obj: Object) -> None:
        obj["spec"]["template"]["spec"]["containers"][0]["image"] = "agent:2"

    generations = []
    for change in (relabel, renew):
        updated = guarded.update(DAEMON_SETS, "default", "agent", change)
        generations.append(updated["metadata"]["annotations"]["deprecated.daemonset.template.generation"])
    assert generations == ["1", "2"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"selector": None}, "spec.selector: Required value"),
        ({"selector": {}}, "empty selector is invalid for deployment"),
        (
            {"selector": {"matchLabels": {"app": "other"}}},
            'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`',
        ),
        ({"replicas": -1}, "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
        (
            {"template": {"metadata": {"annotations": {"bad key!": "x"}}}},
            'spec.template.annotations: Invalid value: "bad key!": name part must consist of',
        ),
        (
            {"template": {"metadata": {"labels": {"app": "web", "x": "y z"}}}},
            'spec.template.labels: Invalid value: "y z": a valid label must be',
        ),
        (
            {
                "template": {
                    "spec": {"affinity": {"podAffinity": {PREFERRED: [{"weight": 101, "podAffinityTerm": {}}]}}}
                }
            },
            f"spec.template.spec.affinity.podAffinity.{PREFERRED}[0].weight: Invalid value: 101: must be in the range",
        ),
        ({"strategy": {"type": "Nope"}}, 'Unsupported value: "Nope": supported values: "Recreate", "RollingUpdate"'),
        ({"strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 0}}}, "may not be 0 when `maxSurge` is 0"),
    ],
)
def test_a_deployment_that_can_not_work_is_refused(
    desk: Any, merged: Any, refused: Any, change: Object, message: str
) -> None:
    body = copy.deepcopy(BY_NAME["deployment"]["body"])
    if change.get("selector") == {}:
        body["spec"]["selector"] = {}
    else:
        merged(body["spec"], change)
    assert message in refused(desk.create, DEPLOYMENTS, body).message


def test_a_deployments_pods_always_restart(desk: Any, refused: Any) -> None:
    body = copy.deepcopy(BY_NAME["deployment"]["body"])
    body["spec"]["template"]["spec"]["restartPolicy"] = "Never"
    message = 'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'
    assert message in refused(desk.create, DEPLOYMENTS, body).message


def test_the_selector_of_a_deployment_stays(desk: Any, refused: Any) -> None:
    desk.create(DEPLOYMENTS, BY_NAME["deployment"]["body"])

    def change(obj: Object) -> None:
        obj["spec"]["selector"] = {"matchLabels": {"app": "y"}}
        obj["spec"]["template"]["metadata"]["labels"] = {"app": "y"}

    error = refused(desk.update, DEPLOYMENTS, "default", "web", change)
    assert 'spec.selector: Invalid value: {"matchLabels":{"app":"y"}}: field is immutable' in error.message


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"containers": []}, "spec.containers: Required value"),
        ({"restartPolicy": "Nope"}, "spec.restartPolicy: Unsupported value"),
        ({"dnsPolicy": "Nope"}, "spec.dnsPolicy: Unsupported value"),
        ({"terminationGracePeriodSeconds": -1}, "must be greater than or equal to 0"),
        ({"volumes": [{"name": "v", "secret": {}}]}, "spec.volumes[0].secret.secretName: Required value"),
        ({"volumes": [{"name": "v", "hostPath": {"path": "/a/../b"}}]}, "must not contain '..'"),
        (
            {"volumes": [{"name": "v", "emptyDir": {}, "hostPath": {"path": "/"}}]},
            "may not specify more than 1 volume type",
        ),
        ({"volumes": [{"name": "v"}, {"name": "v"}]}, 'spec.volumes[1].name: Duplicate value: "v"'),
        ({"tolerations": [{"key": "a", "effect": "Nope"}]}, "spec.tolerations[0].effect: Unsupported value"),
        ({"tolerations": [{"operator": "Equal"}]}, "operator must be Exists when `key` is empty"),
        ({"nodeSelector": {"a b": "c"}}, "spec.nodeSelector: Invalid value"),
        ({"activeDeadlineSeconds": 0}, "spec.activeDeadlineSeconds: Invalid value: 0"),
    ],
)
def test_a_pod_that_can_not_run_is_refused(desk: Any, refused: Any, spec: Object, message: str) -> None:
    assert message in refused(desk.create, PODS, _pod(**spec)).message


@pytest.mark.parametrize(
    ("container", "message"),
    [
        ({"name": "A"}, "spec.containers[0].name: Invalid value"),
        ({"ports": [{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}]}, 'Duplicate value: "a"'),
        ({"ports": [{"containerPort": 1, "protocol": "ICMP"}]}, "protocol: Unsupported value"),
        ({"env": [{"name": "a=b"}]}, "spec.containers[0].env[0].name: Invalid value"),
        ({"env": [{"name": "a", "valueFrom": {}}]}, "must specify one of: `fieldRef`"),
        ({"env": [{"name": "a", "valueFrom": {"fieldRef": {"fieldPath": "status.nope"}}}]}, "Unsupported value"),
        ({"env": [{"name": "a", "value": "x", "valueFrom": {"fieldRef": {}}}]}, "may not be specified when `value`"),
        ({"volumeMounts": [{"name": "no", "mountPath": "/x"}]}, 'volumeMounts[0].name: Not found: "no"'),
        ({"resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}}, "must be less than or equal to cpu limit"),
        ({"resources": {"limits": {"cpu": "-1"}}}, "must be greater than or equal to 0"),
        ({"resources": {"limits": {"cpu": "lots"}}}, "quantities must match the regular expression"),
        ({"livenessProbe": {}}, "must specify a handler type"),
        ({"livenessProbe": {"exec": {"command": ["x"]}, "successThreshold": 2}}, "successThreshold: Invalid value: 2"),
        ({"readinessProbe": {"httpGet": {"port": 0}}}, "readinessProbe.httpGet.port: Invalid value: 0"),
        ({"imagePullPolicy": "Nope"}, "imagePullPolicy: Unsupported value"),
    ],
)
def test_a_container_that_can_not_run_is_refused(desk: Any, refused: Any, container: Object, message: str) -> None:
    body = _pod(containers=[{"name": "c", "image": "i:1"} | container])
    assert message in refused(desk.create, PODS, body).message


def test_little_of_a_pod_may_change(desk: Any, refused: Any) -> None:
    desk.create(PODS, _pod(tolerations=[{"key": "a", "operator": "Exists"}]))

    def image(obj: Object) -> None:
        obj["spec"]["containers"][0]["image"] = "i:2"
        obj["spec"]["tolerations"].append({"key": "b", "operator": "Exists"})

    assert desk.update(PODS, "default", "p", image)["spec"]["containers"][0]["image"] == "i:2"

    def rename(obj: Object) -> None:
        obj["spec"]["containers"][0]["command"] = ["x"]

    assert "pod updates may not change fields other than" in refused(desk.update, PODS, "default", "p", rename).message
    error = refused(desk.update, PODS, "default", "p", lambda obj: obj["spec"].update(tolerations=[]))
    assert "existing toleration can not be modified" in error.message
    error = refused(desk.update, PODS, "default", "p", lambda obj: obj["spec"]["containers"].append({"name": "x"}))
    assert "may not add or remove containers" in error.message


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("i", "Always"),
        ("i:latest", "Always"),
        ("i:1", "IfNotPresent"),
        ("example.org:5000/i", "Always"),
        ("example.org:5000/i:1", "IfNotPresent"),
        ("i@sha256:0", "IfNotPresent"),
    ],
)
def test_what_may_change_under_its_name_is_always_pulled(desk: Any, image: str, policy: str) -> None:
    created = desk.create(PODS, _pod(containers=[{"name": "c", "image": image}]))
    assert created["spec"]["containers"][0]["imagePullPolicy"] == policy


@pytest.mark.parametrize(
    ("resources", "quality"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}, "Burstable"),
    ],
)
def test_quality_of_service_follows_requests_and_limits(desk: Any, resources: Object, quality: str) -> None:
    created = desk.create(PODS, _pod(containers=[{"name": "c", "image": "i:1", "resources": resources}]))
    assert created["status"]["qosClass"] == quality


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("1", "1"),
        ("1000m", "1"),
        ("0.5", "500m"),
        ("1.5", "1500m"),
        ("2000", "2k"),
        ("4Gi", "4Gi"),
        ("1.5Gi", "1536Mi"),
        ("1024Ki", "1Mi"),
        ("0.5Ki", "512"),
        ("1e3", "1e3"),
        ("0", "0"),
        ("-1500m", "-1500m"),
        (2, "2"),
        ("110", "110"),
        ("1n", "1n"),
        (".5", "500m"),
        ("5.", "5"),
    ],
)
def test_quantities_are_stored_in_one_form(given: str, stored: str) -> None:
    assert quantities.canonical(given) == stored
    assert quantities.canonical(stored) == stored


@pytest.mark.parametrize("text", ["", "x", "1x", "1 Gi", "--1", "1mi", "."])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="quantities must match"):
        quantities.parse(text)


def test_a_pod_takes_over_its_nodes_topology() -> None:
    labels = {"topology.kubernetes.io/zone": "a", "kubernetes.io/hostname": "n"}
    assert nodes.topology_labels({"metadata": {"labels": labels}}) == {"topology.kubernetes.io/zone": "a"}


@pytest.mark.parametrize(
    ("taints", "message"),
    [
        ([{"key": "a"}], "metadata.taints[0].effect: Required value"),
        ([{"key": "a", "effect": "Nope"}], "metadata.taints[0].effect: Unsupported value"),
        (
            [{"key": "a", "effect": "NoExecute"}, {"key": "a", "effect": "NoExecute"}],
            "metadata.taints[1]: Duplicate value",
        ),
    ],
)
def test_bad_taints_are_refused(desk: Any, refused: Any, taints: list[Object], message: str) -> None:
    assert message in refused(desk.create, NODES, {"metadata": {"name": "n"}, "spec": {"taints": taints}}).message
