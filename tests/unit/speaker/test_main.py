"""What the speaker's wiring filters: which changes of objects are worth a new look, and the list of excluded interfaces."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from metallb.api.core import Condition, EndpointSlice, Node, NodeStatus, ObjectMeta, Pod, PodSpec, PodStatus
from metallb.api.net import InterfaceName, NodeName
from metallb.kube.daemon import StartError
from metallb.kube.objects import Key
from metallb.kube.store import Change
from metallb.speaker.caches import _services_of, came_or_left, fell_silent, keys_of, node_matters
from metallb.speaker.main import read_exclusion

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


class TestExclusion:
    @pytest.fixture
    def write(self, tmp_path: Path) -> Callable[[str], Path]:
        def to(text: str) -> Path:
            path = tmp_path / "excludel2.yaml"
            path.write_text(text)
            return path

        return to

    def test_a_missing_file_excludes_nothing(self, tmp_path: Path) -> None:
        assert not read_exclusion(tmp_path / "nosuch").excludes(InterfaceName("lo"))

    @pytest.mark.parametrize(
        ("text", "excluded"),
        [
            ("announcedInterfacesToExclude:\n- ^lo$\n- ^veth.*\n", ["lo", "veth1"]),
            ("announcedInterfacesToExclude: []\n", []),
            ("announcedInterfacesToExclude:\n", []),
            ("other: 1\n", []),
            ("", []),
            ("announcedInterfacesToExclude: [1]\n", ["eth1", "veth1"]),
        ],
    )
    def test_patterns_exclude_names(self, write: Callable[[str], Path], text: str, excluded: list[str]) -> None:
        found = read_exclusion(write(text))
        names = map(InterfaceName, ("eth0", "eth1", "lo", "veth1"))
        assert [name for name in names if found.excludes(name)] == excluded

    @pytest.mark.parametrize(
        "text",
        ["announcedInterfacesToExclude: ['(']\n", "- a list\n", "{", "announcedInterfacesToExclude: 1\n", "just text"],
    )
    def test_a_malformed_file_is_named(self, write: Callable[[str], Path], text: str) -> None:
        with pytest.raises(StartError, match=r"excludel2\.yaml"):
            read_exclusion(write(text))

    def test_a_file_that_can_not_be_read_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(StartError, match="can't be read"):
            read_exclusion(tmp_path)
