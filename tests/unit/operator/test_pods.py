"""Why pods don't run: words for the condition, and from when on waiting is no progress."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import pytest

from metallb.operator.conditions import Degraded, Progressing, WorkloadStatus, readiness
from metallb.operator.pods import PATIENCE, OperandPod, Troubles, troubles

BEGAN = "2026-01-01T00:00:00Z"
NOW = dt.datetime.fromisoformat(BEGAN)
UNSCHEDULABLE = "0/4 nodes are available: 1 node(s) didn't match pod affinity rules, 3 node(s) didn't match Pod's node affinity/selector"


def pod(name: str = "speaker-1", **status: Any) -> OperandPod:
    ready = {"type": "Ready", "status": "False", "lastTransitionTime": BEGAN}
    conditions = [*status.pop("conditions", []), ready]
    body = {
        "metadata": {"name": name, "creationTimestamp": BEGAN},
        "spec": {"nodeName": "n1"},
        "status": {"phase": "Pending", "conditions": conditions} | status,
    }
    return msgspec.convert(body, OperandPod)


def container(state: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"name": "speaker", "image": "example.org/speaker:v1", "ready": False, "state": state} | fields


def waiting(reason: str, message: str = "", **fields: Any) -> dict[str, Any]:
    return container({"waiting": {"reason": reason, "message": message}}, **fields)


CRASHED = {"terminated": {"exitCode": 1, "reason": "Error", "message": "no port\n"}}
CRASH = "container speaker on node n1 ends again and again (Error, exit code 1): no port; see its log"


@pytest.mark.parametrize(
    ("status", "reason", "text"),
    [
        pytest.param(
            {
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": UNSCHEDULABLE}
                ]
            },
            "PodUnschedulable",
            f"can't be scheduled: {UNSCHEDULABLE}",
            id="no node",
        ),
        pytest.param(
            {"containerStatuses": [waiting("ErrImagePull", "manifest unknown")]},
            "ImagePullFailed",
            "image 'example.org/speaker:v1' can't be pulled: manifest unknown",
            id="first pull",
        ),
        pytest.param(
            {
                "containerStatuses": [
                    waiting(
                        "ImagePullBackOff",
                        'Back-off pulling image "example.org/speaker:v1": ErrImagePull: manifest unknown',
                    )
                ]
            },
            "ImagePullFailed",
            "image 'example.org/speaker:v1' can't be pulled: manifest unknown",
            id="the same text between pulls",
        ),
        pytest.param(
            {"containerStatuses": [waiting("ImagePullBackOff", 'Back-off pulling image "example.org/speaker:v1"')]},
            "ImagePullFailed",
            "image 'example.org/speaker:v1' can't be pulled",
            id="an older kubelet",
        ),
        pytest.param(
            {"containerStatuses": [waiting("CreateContainerConfigError", 'secret "x" not found')]},
            "ContainerNotStarted",
            'container speaker can\'t be started: secret "x" not found',
            id="a Secret is missing",
        ),
        pytest.param(
            {"containerStatuses": [waiting("CrashLoopBackOff", "back-off 10s", restartCount=2, lastState=CRASHED)]},
            "ContainerEnds",
            CRASH,
            id="crash loop, waiting",
        ),
        pytest.param(
            {"containerStatuses": [container({"running": {}}, restartCount=3, lastState=CRASHED)]},
            "ContainerEnds",
            CRASH,
            id="crash loop, running again: the same text",
        ),
        pytest.param(
            {"containerStatuses": [container(CRASHED)]}, "ContainerEnds", CRASH, id="crash loop, just ended: the same"
        ),
        pytest.param(
            {"initContainerStatuses": [waiting("ErrImagePull", "no", name="init")]},
            "ImagePullFailed",
            "image 'example.org/speaker:v1' can't be pulled: no",
            id="an init container",
        ),
        pytest.param(
            {"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory."},
            "PodFailed",
            "has failed: Evicted The node was low on memory.",
            id="evicted",
        ),
    ],
)
def test_a_trouble_is_told_in_the_words_of_who_has_it(status: dict[str, Any], reason: str, text: str) -> None:
    (found,) = troubles([pod(**status)]).found
    assert (found.reason, found.text, found.pod) == (reason, text, "speaker-1")


@pytest.mark.parametrize(
    "status",
    [
        pytest.param({}, id="young"),
        pytest.param({"containerStatuses": [waiting("ContainerCreating")]}, id="being made"),
        pytest.param({"containerStatuses": [container({"running": {}})]}, id="runs, not ready yet"),
        pytest.param(
            {"containerStatuses": [container({"terminated": {"exitCode": 0}}, ready=True)]}, id="ended as it should"
        ),
        pytest.param({"conditions": [{"type": "PodScheduled", "status": "True"}]}, id="has a node"),
    ],
)
def test_what_only_takes_its_time_is_no_trouble(status: dict[str, Any]) -> None:
    assert troubles([pod(**status)]) == Troubles()


def test_pods_that_go_or_are_ready_are_no_trouble() -> None:
    bad = pod(containerStatuses=[waiting("ErrImagePull")])
    going = msgspec.structs.replace(bad, metadata=msgspec.structs.replace(bad.metadata, deletion_timestamp=BEGAN))
    conditions = [{"type": "Ready", "status": "True"}]
    ready = msgspec.convert({"status": {"conditions": conditions, "phase": "Failed"}}, OperandPod)
    assert troubles([going, ready]) == Troubles()


def test_pods_with_the_same_trouble_are_told_together_and_not_all() -> None:
    same = [pod(f"speaker-{n}", containerStatuses=[waiting("ErrImagePull", "no")]) for n in (5, 3, 1, 2, 4)]
    other = [pod(f"x-{n}", containerStatuses=[waiting("CreateContainerError", f"why {n}", name="c")]) for n in range(4)]
    assert str(troubles([*same, *other])) == (
        "Pods speaker-1, speaker-2, speaker-3 and 2 more: image 'example.org/speaker:v1' can't be pulled: no; "
        "Pod x-0: container c can't be started: why 0; Pod x-1: container c can't be started: why 1; and 2 more causes"
    )


def test_a_trouble_becomes_degraded_once_it_has_lasted() -> None:
    found = troubles([pod(containerStatuses=[waiting("ErrImagePull", "no")])])
    speaker = (1, WorkloadStatus(observed_generation=1, desired_number_scheduled=1))
    controller = (1, 0, WorkloadStatus(observed_generation=1))
    text = f"DaemonSet speaker: 0 of 1 pods are ready, 0 are up to date; {found}"
    early, late = NOW + PATIENCE - dt.timedelta(seconds=20), NOW + PATIENCE
    assert readiness(speaker, controller, found, early) == Progressing(text)
    assert found.next_look(early) == 20
    assert readiness(speaker, controller, found, late) == Degraded("ImagePullFailed", text)
    assert found.next_look(late) is None


def test_a_pod_that_says_nothing_of_its_age_never_counts_as_stuck() -> None:
    found = troubles([msgspec.convert({"status": {"phase": "Failed"}}, OperandPod)])
    assert str(found) == "Pod : has failed: without a word"
    assert found.stuck(NOW) is None
    assert found.next_look(NOW) is None
