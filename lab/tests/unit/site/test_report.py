"""What `status` says of a cluster, in lines."""

from __future__ import annotations

from typing import Any

from kubelab import report


def a_pod(**more: Any) -> dict[str, Any]:
    status = {
        "phase": "Running",
        "containerStatuses": [
            {"ready": True, "restartCount": 2, "state": {"running": {}}},
            {"ready": False, "restartCount": 0, "state": {"waiting": {"reason": "CrashLoopBackOff"}}},
        ],
    }
    spec = {"nodeName": "worker-1", "containers": [{}, {}]}
    return {"metadata": {"namespace": "default", "name": "web", **more}, "spec": spec, "status": status}


def a_service(*addresses: str) -> dict[str, Any]:
    ingress = [{"ip": each} for each in addresses]
    metadata = {"namespace": "default", "name": "web"}
    return {"metadata": metadata, "status": {"loadBalancer": {"ingress": ingress} if ingress else {}}}


def test_a_pod_is_told_by_what_its_containers_wait_for() -> None:
    assert report.pod(a_pod()) == {
        "namespace": "default",
        "name": "web",
        "node": "worker-1",
        "state": "CrashLoopBackOff",
        "ready": 1,
        "containers": 2,
        "restarts": 2,
    }
    assert report.pod(a_pod(deletionTimestamp="2026-01-01T00:00:00Z"))["state"] == "Terminating"


def test_a_pod_that_nobody_has_taken_yet_is_told_by_its_phase() -> None:
    pending = {
        "metadata": {"namespace": "default", "name": "web"},
        "spec": {"containers": [{}]},
        "status": {"phase": "Pending"},
    }
    assert report.pod(pending)["state"] == "Pending"
    assert report.pod(pending)["node"] == ""


def test_the_picture_has_a_table_for_each_thing_there_is() -> None:
    node = {
        "metadata": {"name": "worker-1"},
        "spec": {"unschedulable": True},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }
    answered = report.balanced(a_service("198.51.100.100", "198.51.100.101"))
    answered["addresses"][0]["answeredBy"] = ["worker-1", "worker-2"]
    document = {
        "nodes": [report.node(node)],
        "pods": [report.pod(a_pod())],
        "services": [answered, report.balanced(a_service())],
        "faults": [{"kind": "cut", "target": "worker-1", "detail": "network lan"}],
    }
    assert list(report.cluster_lines(document)) == [
        "NODE       READY",
        "worker-1   True, cordoned",
        "NAMESPACE   POD   NODE       STATE              READY   RESTARTS",
        "default     web   worker-1   CrashLoopBackOff   1/2     2",
        "NAMESPACE   SERVICE   ADDRESS          ANSWERED BY",
        "default     web       198.51.100.100   worker-1, worker-2",
        "default     web       198.51.100.101   nobody",
        "default     web       <pending>",
        "FAULT   TARGET     DETAIL",
        "cut     worker-1   network lan",
    ]


def test_what_can_not_be_asked_is_said_and_all_else_shown() -> None:
    document = {"nodes": [], "pods": [], "services": [], "error": "the API server does not answer: 0 Unreachable: x"}
    assert list(report.cluster_lines(document)) == ["error: the API server does not answer: 0 Unreachable: x"]
