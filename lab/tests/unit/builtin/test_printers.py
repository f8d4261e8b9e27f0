"""Tables of built-in kinds, measured against recorded tables of the real server and of kubectl."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kubelab.apiserver.builtin.printers import DEFAULT, age, columns, duration
from kubelab.objects import GroupResource, Object

_VECTORS = Path(__file__).parents[2] / "vectors" / "apiserver"
GROUPS = {"deployments": "apps", "daemonsets": "apps", "replicasets": "apps"}


def _lines(file: str) -> list[Object]:
    return [json.loads(line) for line in (_VECTORS / f"{file}.jsonl").read_text(encoding="utf-8").splitlines()]


def _resource(path: str) -> str:
    parts = path.partition("?")[0].split("/")
    return next(part for part in reversed(parts) if part.endswith("s"))


def _tables() -> list[Any]:
    return [
        pytest.param(line, id=f"{file}: {line['name']}")
        for file in ("services", "workloads", "access")
        for line in _lines(file)
        if isinstance(line.get("response"), dict) and line["response"].get("kind") == "Table"
    ]


def _objects(file: str) -> dict[str, Object]:
    """All whole objects of a file by uid, as last seen before each table is not known: by resource version."""
    found: dict[str, Object] = {}
    for line in _lines(file):
        response = line.get("response")
        if not isinstance(response, dict):
            continue
        for obj in [response, *(response.get("items") or [])]:
            metadata = obj.get("metadata") or {}
            if "resourceVersion" in metadata and "uid" in metadata and ("spec" in obj or "involvedObject" in obj):
                found[f"{metadata['uid']}@{metadata['resourceVersion']}"] = obj
    return found


SEEN = {file: _objects(file) for file in ("services", "workloads", "access")}


def _printer(resource: str) -> Any:
    return columns(GroupResource(GROUPS.get(resource, ""), resource)) or DEFAULT


@pytest.mark.parametrize("line", _tables())
def test_columns_are_defined_as_recorded(line: Object) -> None:
    assert _printer(_resource(line["path"])).definitions == line["response"]["columnDefinitions"]


def _same_cells(cells: list[Any], row: Object, printer: Any) -> bool:
    """Ages apart: they tell when the row was made, to the second."""
    names = [definition["name"] for definition in printer.definitions]
    return all(ours == theirs for name, ours, theirs in zip(names, cells, row["cells"], strict=True) if name != "Age")


def _rows() -> list[Any]:
    found = []
    for file in ("services", "workloads"):
        for line in _lines(file):
            response = line.get("response")
            if not (isinstance(response, dict) and response.get("kind") == "Table"):
                continue
            for row in response["rows"]:
                metadata = row["object"]["metadata"]
                obj = SEEN[file].get(f"{metadata['uid']}@{metadata['resourceVersion']}")
                if obj is not None:
                    found.append(pytest.param(line, row, obj, id=f"{line['name']}: {metadata['name']}"))
    return found


ROWS = _rows()


def test_there_are_enough_rows_to_compare() -> None:
    assert len(ROWS) > 50


@pytest.mark.parametrize(("line", "row", "obj"), ROWS)
def test_cells_are_as_recorded(line: Object, row: Object, obj: Object) -> None:
    printer = _printer(_resource(line["path"]))
    created = obj["metadata"]["creationTimestamp"]
    # The oldest time a row tells is the object's own, in whole seconds.
    ages = [int(cell[:-1]) for cell in map(str, row["cells"]) if cell.endswith("s") and cell[:-1].isdigit()]
    now = datetime.fromisoformat(created) + timedelta(seconds=max(ages, default=0) + 0.999)
    cells = printer.cells(obj, now.isoformat())
    assert _same_cells(cells, row, printer), (cells, row["cells"])


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-2, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (123, "2m3s"),
        (600, "10m"),
        (3 * 3600 - 1, "179m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 61, "3h1m"),
        (8 * 3600 + 61, "8h"),
        (48 * 3600, "2d"),
        (50 * 3600, "2d2h"),
        (8 * 86400 + 3600, "8d"),
        (400 * 86400, "400d"),
        (800 * 86400, "2y70d"),
        (9 * 365 * 86400, "9y"),
    ],
)
def test_spans_are_shown_as_kubectl_shows_them(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_an_unknown_time_is_said_to_be_unknown() -> None:
    assert age(None, "2026-01-01T00:00:00Z") == "<unknown>"


def _pod(spec: Object | None = None, deleted: bool = False, **status: Any) -> Object:  # noqa: FBT001, FBT002  # a builder
    metadata = {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"}
    if deleted:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:30Z"
    return {"metadata": metadata, "spec": spec or {"containers": [{"name": "c"}]}, "status": status}


def _state(**state: Any) -> Object:
    return {"name": "c", "restartCount": 0, "state": state}


_SIDECAR = {"initContainers": [{"name": "s", "restartPolicy": "Always"}, {"name": "i"}], "containers": [{"name": "c"}]}


@pytest.mark.parametrize(
    ("pod", "cells"),
    [
        (_pod(phase="Pending"), ["0/1", "Pending", "0"]),
        (_pod(phase="Pending", deleted=True), ["0/1", "Terminating", "0"]),
        (_pod(phase="Succeeded", deleted=True), ["0/1", "Succeeded", "0"]),
        (
            _pod(phase="Running", containerStatuses=[{**_state(running={}), "ready": True}]),
            ["1/1", "Running", "0"],
        ),
        (
            _pod(
                phase="Running",
                containerStatuses=[
                    {
                        **_state(waiting={"reason": "CrashLoopBackOff"}),
                        "restartCount": 3,
                        "lastState": {"terminated": {"finishedAt": "2026-01-01T00:00:50Z"}},
                    }
                ],
            ),
            ["0/1", "CrashLoopBackOff", "3 (10s ago)"],
        ),
        (
            _pod(phase="Succeeded", containerStatuses=[_state(terminated={"reason": "Completed", "exitCode": 0})]),
            ["0/1", "Completed", "0"],
        ),
        (_pod(phase="Failed", containerStatuses=[_state(terminated={"exitCode": 7})]), ["0/1", "ExitCode:7", "0"]),
        (_pod(phase="Failed", containerStatuses=[_state(terminated={"signal": 9})]), ["0/1", "Signal:9", "0"]),
        (
            _pod(
                _SIDECAR,
                phase="Pending",
                initContainerStatuses=[
                    {"name": "s", "started": True, "ready": True, "restartCount": 1, "state": {"running": {}}},
                    {"name": "i", "restartCount": 0, "state": {"running": {}}},
                ],
            ),
            ["1/2", "Init:1/2", "1"],
        ),
        (
            _pod(
                {"initContainers": [{"name": "i"}], "containers": [{"name": "c"}]},
                phase="Pending",
                initContainerStatuses=[
                    {"name": "i", "restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
                ],
            ),
            ["0/1", "Init:CrashLoopBackOff", "2"],
        ),
        (_pod(phase="Running", deleted=True, reason="NodeLost"), ["0/1", "Unknown", "0"]),
        (_pod(phase="Failed", reason="Evicted"), ["0/1", "Evicted", "0"]),
    ],
)
def test_a_pods_status_is_worked_out_from_its_containers(pod: Object, cells: list[str]) -> None:
    printer = columns(GroupResource("", "pods"))
    assert printer is not None
    assert printer.cells(pod, "2026-01-01T00:01:00Z")[1:4] == cells


def test_a_pod_that_ended_has_a_row_condition() -> None:
    printer = columns(GroupResource("", "pods"))
    assert printer is not None
    assert printer.conditions(_pod(phase="Succeeded"))[0]["reason"] == "Succeeded"
    assert printer.conditions(_pod(phase="Running")) == []


_AGED = {"name": "x", "creationTimestamp": "2026-01-01T00:00:00Z"}
_LB = {
    "type": "LoadBalancer",
    "clusterIPs": ["198.18.128.2"],
    "ports": [{"port": 80, "nodePort": 30001, "protocol": "TCP"}],
}


@pytest.mark.parametrize(
    ("resource", "group", "obj", "cells"),
    [
        (
            "services",
            "",
            {"spec": _LB, "status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.101"}, {"ip": "2001:db8::1"}]}}},
            ["x", "LoadBalancer", "198.18.128.2", "198.51.100.101,2001:db8::1", "80:30001/TCP", "60s", "<none>"],
        ),
        (
            "endpoints",
            "",
            {
                "subsets": [
                    {"addresses": [{"ip": f"198.18.0.{n}"} for n in range(1, 6)], "ports": [{"port": 80}]},
                ]
            },
            ["x", "198.18.0.1:80,198.18.0.2:80,198.18.0.3:80 + 2 more...", "60s"],
        ),
        ("endpoints", "", {"subsets": None}, ["x", "<none>", "60s"]),
        (
            "endpointslices",
            "discovery.k8s.io",
            {"addressType": "IPv4", "ports": [{"port": 80}], "endpoints": [{"addresses": ["198.18.0.1"]}]},
            ["x", "IPv4", "80", "198.18.0.1", "60s"],
        ),
        (
            "endpointslices",
            "discovery.k8s.io",
            {"addressType": "IPv4", "ports": None, "endpoints": None},
            ["x", "IPv4", "<unset>", "<unset>", "60s"],
        ),
        ("namespaces", "", {"status": {"phase": "Active"}}, ["x", "Active", "60s"]),
        ("configmaps", "", {"data": {"a": "b"}, "binaryData": {"c": "ZA=="}}, ["x", 2, "60s"]),
        ("secrets", "", {"type": "Opaque", "data": {"a": "ZA=="}}, ["x", "Opaque", 1, "60s"]),
        ("serviceaccounts", "", {}, ["x", "60s"]),
        ("leases", "coordination.k8s.io", {"spec": {"holderIdentity": "me"}}, ["x", "me", "60s"]),
        (
            "rolebindings",
            "rbac.authorization.k8s.io",
            {
                "roleRef": {"kind": "Role", "name": "r"},
                "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s", "namespace": "n"}],
            },
            ["x", "Role/r", "60s", "u", "", "n/s"],
        ),
        (
            "priorityclasses",
            "scheduling.k8s.io",
            {"value": 7, "preemptionPolicy": "PreemptLowerPriority"},
            ["x", 7, False, "60s", "PreemptLowerPriority"],
        ),
        (
            "nodes",
            "",
            {"status": {"nodeInfo": {"kernelVersion": "6.1", "architecture": "amd64"}}},
            ["x", "Unknown", "<none>", "60s", "", "<none>", "<none>", "<unknown>", "6.1 (amd64)", "<unknown>"],
        ),
        (
            "nodes",
            "",
            {"status": {"nodeInfo": {"kernelVersion": "6.1", "architecture": ""}}},
            ["x", "Unknown", "<none>", "60s", "", "<none>", "<none>", "<unknown>", "6.1", "<unknown>"],
        ),
        ("runtimeclasses", "node.k8s.io", {"handler": "runc"}, ["x", "runc", "60s"]),
        ("networkpolicies", "networking.k8s.io", {"spec": {"podSelector": {}}}, ["x", "<none>", "60s"]),
        ("validatingwebhookconfigurations", "admissionregistration.k8s.io", {"webhooks": [{}]}, ["x", 1, "60s"]),
        (
            "statefulsets",
            "apps",
            {"spec": {"replicas": 2, "template": {"spec": {"containers": [{"name": "c", "image": "i"}]}}}},
            ["x", "0/2", "60s", "c", "i"],
        ),
        (
            "jobs",
            "batch",
            {
                "spec": {"completions": 1, "template": {}},
                "status": {
                    "succeeded": 1,
                    "startTime": "2026-01-01T00:00:00Z",
                    "completionTime": "2026-01-01T00:00:05Z",
                    "conditions": [{"type": "Complete", "status": "True"}],
                },
            },
            ["x", "Complete", "1/1", "5s", "60s", "", "", "<none>"],
        ),
        (
            "controllerrevisions",
            "apps",
            {"revision": 3},
            ["x", "<none>", 3, "60s"],
        ),
        ("poddisruptionbudgets", "policy", {"spec": {"minAvailable": "50%"}}, ["x", "50%", "N/A", 0, "60s"]),
        (
            "cronjobs",
            "batch",
            {"spec": {"schedule": "* * * * *"}},
            ["x", "* * * * *", "<none>", "False", 0, "<none>", "60s", "", "", "<none>"],
        ),
        (
            "storageclasses",
            "storage.k8s.io",
            {"provisioner": "p", "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"},
            ["x", "p", "Delete", "Immediate", False, "60s"],
        ),
    ],
)
def test_other_kinds_show_what_matters(resource: str, group: str, obj: Object, cells: list[Any]) -> None:
    printer = columns(GroupResource(group, resource))
    assert printer is not None
    assert len(printer.definitions) == len(cells)
    assert printer.cells({"metadata": _AGED, **obj}, "2026-01-01T00:01:00Z") == cells


def test_what_has_no_printer_shows_name_and_time() -> None:
    assert columns(GroupResource("x.org", "things")) is None
    assert DEFAULT.cells({"metadata": _AGED}, "2026-01-01T00:01:00Z") == ["x", "2026-01-01T00:00:00Z"]
