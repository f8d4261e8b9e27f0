"""What the speaker's wiring filters: which changes of objects are worth a new look."""

from __future__ import annotations

import pytest

from metallb.advertisement.conflicts import CONDITION
from metallb.api.core import (
    Condition,
    EndpointSlice,
    Node,
    NodeStatus,
    ObjectMeta,
    Pod,
    PodSpec,
    PodStatus,
    Service,
    ServiceStatus,
)
from metallb.api.net import NodeName
from metallb.kube.objects import Key
from metallb.kube.store import Change
from metallb.speaker.caches import _services_of, came_or_left, conflict_said, fell_silent, keys_of, node_matters

KEY = Key("", "x")


def node(*, unavailable: str = "False", heartbeat: str = "1", **labels: str) -> Node:
    status = NodeStatus((Condition("NetworkUnavailable", unavailable), Condition("Ready", "True", reason=heartbeat)))
    return Node(ObjectMeta(name="node-a", labels=labels), status)


def pod(*, ready: bool = True, deleted: str | None = None, version: str = "1") -> Pod:
    metadata = ObjectMeta(name="speaker", resource_version=version, deletion_timestamp=deleted)
    return Pod(
        metadata, PodSpec(NodeName("node-a")), PodStatus("Running", conditions=(Condition("Ready", str(ready)),))
    )


@pytest.mark.parametrize(
    ("before", "after", "matters"),
    [
        pytest.param(None, node(), True, id="new"),
        pytest.param(node(), None, True, id="gone"),
        pytest.param(node(), node(heartbeat="2"), False, id="its state is posted"),
        pytest.param(node(), node(zone="a"), True, id="a label"),
        pytest.param(node(), node(unavailable="True"), True, id="its network"),
    ],
)
def test_nodes(before: Node | None, after: Node | None, matters: bool) -> None:  # noqa: FBT001  # a column
    assert node_matters(Change(KEY, before, after)) is matters


def service(*conditions: str, version: str = "1") -> Service:
    said = tuple(Condition(each, "True") for each in conditions)
    return Service(ObjectMeta(name="web", resource_version=version), status=ServiceStatus(conditions=said))


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        pytest.param(None, service(), False, id="a new one"),
        pytest.param(None, service(CONDITION), True, id="there at the start, with the condition"),
        pytest.param(service(), service("example.org/Other"), False, id="another condition"),
        pytest.param(service(), service(CONDITION), True, id="it comes"),
        pytest.param(service(CONDITION), service(CONDITION, version="2"), False, id="it stays"),
        pytest.param(service(CONDITION), service(), True, id="it goes"),
        pytest.param(service(CONDITION), None, True, id="it goes with the Service"),
        pytest.param(service(), None, False, id="the Service goes"),
    ],
)
def test_services_that_say_there_is_a_conflict(before: Service | None, after: Service | None, told: bool) -> None:  # noqa: FBT001  # a column
    assert conflict_said(Change(KEY, before, after)) is told


GONE = "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("before", "after", "at_once", "silent"),
    [
        pytest.param(None, pod(), True, False, id="there is one more"),
        pytest.param(None, pod(ready=False), False, False, id="one that is not ready yet"),
        pytest.param(pod(ready=False), pod(), True, False, id="it gets ready"),
        pytest.param(pod(), pod(version="2"), False, False, id="nothing that counts"),
        pytest.param(pod(), pod(deleted=GONE), True, False, id="it says that it goes"),
        pytest.param(pod(), pod(ready=False, deleted=GONE), True, False, id="it goes and is not ready any more"),
        pytest.param(pod(), pod(ready=False), False, True, id="it falls silent"),
        pytest.param(pod(), None, True, False, id="it is gone"),
        pytest.param(pod(ready=False), None, False, False, id="a silent one is gone"),
    ],
)
def test_pods_of_speakers(
    before: Pod | None,
    after: Pod | None,
    at_once: bool,  # noqa: FBT001  # columns
    silent: bool,  # noqa: FBT001
) -> None:
    change = Change(KEY, before, after)
    assert (came_or_left(change), fell_silent(change)) == (at_once, silent)


def test_slices_are_work_for_their_service_and_those_of_none_for_nobody() -> None:
    labels = {"kubernetes.io/service-name": "web"}
    of_web = EndpointSlice(ObjectMeta(name="web-1", namespace="default", labels=labels))
    assert (list(_services_of(of_web)), list(keys_of(of_web))) == (["default/web"], [Key("default", "web")])
    alone = EndpointSlice(ObjectMeta(name="own", namespace="default"))
    assert (list(_services_of(alone)), list(keys_of(alone))) == ([], [])
