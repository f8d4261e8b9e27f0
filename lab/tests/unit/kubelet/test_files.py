"""Logs, volumes and records on disk; configuration; the node's object."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from kubelab.kubelet.config import ConfigError, parse
from kubelab.kubelet.containers import etc_files, outermost
from kubelab.kubelet.environment import Place
from kubelab.kubelet.logfile import LogWriter, follow, last_text, lines_of, stamp, tail
from kubelab.kubelet.node import MachineFacts, is_current, lease, metadata_patch, node_object, node_status
from kubelab.kubelet.podnetwork import bridge_commands, link_name, plug_commands, pod_commands
from kubelab.kubelet.process import Handles, Identity
from kubelab.kubelet.records import PodFiles, PodRecord, existing
from kubelab.kubelet.server import LogOptions, LogOptionsError, log_options
from kubelab.kubelet.state import Kept, Now, Run
from kubelab.kubelet.volumefiles import write
from kubelab.kubelet.volumes import File
from kubelab.proxy.model import networks

SECOND = 1_000_000_000


class Clock:
    def __init__(self) -> None:
        self.ns = 1_800_000_000 * SECOND

    def __call__(self) -> int:
        self.ns += SECOND
        return self.ns


def log(path: Path, limit: int = 10_000) -> LogWriter:
    return LogWriter(path, limit, Clock())


def test_a_line_has_the_time_it_was_read_and_waits_for_its_end(tmp_path: Path) -> None:
    writer = log(tmp_path / "0.log")
    writer.write(b"one\ntw")
    assert tail(writer.path, -1) == [b"2027-01-15T08:00:01.000000000Z one\n"]
    writer.write(b"o\n")
    writer.write(b"rest")
    writer.close()
    assert [line[31:] for line in tail(writer.path, -1)] == [b"one\n", b"two\n", b"rest\n"]
    assert [line[31:] for line in tail(writer.path, 1)] == [b"rest\n"]
    assert tail(writer.path, 0) == []
    assert last_text(writer.path) == "one\ntwo\nrest\n"


def test_a_log_is_bounded_and_keeps_the_newest(tmp_path: Path) -> None:
    writer = log(tmp_path / "0.log", limit=400)
    for number in range(100):
        writer.write(b"line %d\n" % number)
    writer.close()
    lines = [line[31:] for line in lines_of(writer.path)]
    assert lines == [b"line %d\n" % number for number in range(100 - len(lines), 100)]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 800


async def test_a_follower_gets_what_is_there_and_what_comes_across_a_rotation(tmp_path: Path) -> None:
    writer = log(tmp_path / "0.log", limit=200)
    writer.write(b"0\n1\n")
    got: list[bytes] = []

    async def read() -> None:
        got.extend([line[31:] async for line in follow(writer.path, writer, count=1)])

    reader = asyncio.create_task(read())
    for number in range(2, 30):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        writer.write(b"%d\n" % number)
    await asyncio.sleep(0)
    writer.close()
    async with asyncio.timeout(60):
        await reader
    assert got == [b"%d\n" % number for number in range(1, 30)]


async def test_a_follower_may_begin_at_a_time(tmp_path: Path) -> None:
    writer = log(tmp_path / "0.log")
    for number in range(5):
        writer.write(b"%d\n" % number)
    writer.close()
    since = stamp((1_800_000_000 + 4) * SECOND).removesuffix(b"Z")
    assert [line[31:] async for line in follow(writer.path, None, since)] == [b"3\n", b"4\n"]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({}, LogOptions()),
        ({"follow": "true", "tailLines": "0"}, LogOptions(follow=True, tail=0)),
        (
            {"previous": "1", "timestamps": "true", "limitBytes": "9"},
            LogOptions(previous=True, timestamps=True, limit=9),
        ),
        ({"sinceSeconds": "10"}, LogOptions(since=b"2027-01-15T07:59:50.000000000")),
        ({"sinceTime": "2026-01-01T00:00:00Z"}, LogOptions(since=b"2026-01-01T00:00:00")),
    ],
)
def test_options_of_a_log_request(query: dict[str, str], wanted: LogOptions) -> None:
    assert log_options(query.items(), 1_800_000_000 * SECOND) == wanted


@pytest.mark.parametrize(
    "query", [{"tailLines": "-1"}, {"limitBytes": "0"}, {"sinceSeconds": "x"}, {"follow": "maybe"}]
)
def test_a_wrong_option_is_named(query: dict[str, str]) -> None:
    with pytest.raises(LogOptionsError, match=next(iter(query))):
        log_options(query.items(), 0)


def test_files_of_a_volume_change_all_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "v"
    assert write(folder, {"a": File(b"1", 0o644), "d/b": File(b"2", 0o400)}, "s1", None)
    assert (folder / "a").read_bytes() == b"1"
    assert (folder / "d" / "b").stat().st_mode & 0o777 == 0o400
    assert (folder / "..data").readlink() == Path("..s1")
    (folder / "memberlist").mkdir()  # a mount point within the volume
    assert not write(folder, {"a": File(b"1", 0o644), "d/b": File(b"2", 0o400)}, "s2", None)
    assert write(folder, {"a": File(b"3", 0o644)}, "s3", None)
    assert (folder / "a").read_bytes() == b"3"
    assert sorted(path.name for path in folder.iterdir()) == ["..data", "..s3", "a", "memberlist"]


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    files = PodFiles.of(tmp_path, "ns", "p", "u")
    files.folder.mkdir()
    one = Identity(5, 6)
    kept = Kept(1, Run("u-c-1", 7, Now(1.0, 1_800_000_000.0)), None, None, ready=True, started=True)
    record = PodRecord({"metadata": {"name": "p"}}, ("198.18.1.2",), {"c": kept}, {"c": Handles(one, one, one)})
    files.write(record)
    assert [found.read() for found in existing(tmp_path)] == [record]
    public = json.loads((files.folder / "c.json").read_text())
    assert public == {"pid": 7, "container_id": "u-c-1", "started_at": "2027-01-15T08:00:00Z"}


def test_a_record_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    files = PodFiles.of(tmp_path, "ns", "p", "u")
    files.folder.mkdir()
    (files.folder / "pod.json").write_text("{")
    assert files.read() is None


def config(**more: Any) -> dict[str, Any]:
    return {
        "node": "worker-1",
        "kubeconfig": "/k",
        "addresses": ["198.51.100.11", "2001:db8:100::11"],
        "labels": {"a": "b"},
        "taints": [{"key": "k", "effect": "NoSchedule"}],
        "pod_cidrs": ["198.18.1.0/24", "2001:db8:200:1::/64"],
        "state_dir": "/s",
        "api_endpoints": ["198.51.100.10:6443", "[2001:db8:100::10]:6443"],
        **more,
    }


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"node": ""}, "config: node: '': must be a text that is not empty"),
        ({"addresses": ["x"]}, "config: addresses[0]: 'x': 'x' does not appear to be an IPv4 or IPv6 address"),
        ({"pod_cidrs": "x"}, "config: pod_cidrs: 'x': must be a list"),
        ({"taints": [{}]}, "config: taints[0]: {}: a taint needs key and effect"),
        ({"labels": []}, None),
        ({"backoff_s": 0}, "config: backoff_s: 0: must be a number above 0"),
    ],
)
def test_a_wrong_configuration_names_its_field(more: dict[str, Any], message: str | None) -> None:
    if message is None:
        assert parse(config(**more)).labels == {}
        return
    with pytest.raises(ConfigError) as caught:
        parse(config(**more))
    assert str(caught.value) == message


FACTS = MachineFacts(2, 4096, "6.1", "Debian", "amd64", "b-o-o-t")
NOW = Now(5.0, 1_800_000_000.5)


def test_a_node_says_what_it_is() -> None:
    made = node_object(parse(config()), FACTS)
    assert made["spec"] == {
        "podCIDR": "198.18.1.0/24",
        "podCIDRs": ["198.18.1.0/24", "2001:db8:200:1::/64"],
        "taints": [{"key": "k", "effect": "NoSchedule"}],
    }
    assert made["metadata"]["labels"]["kubernetes.io/hostname"] == "worker-1"
    assert made["metadata"]["labels"]["a"] == "b"
    status = node_status(parse(config()), FACTS, {}, NOW)
    assert status["addresses"] == [
        {"type": "InternalIP", "address": "198.51.100.11"},
        {"type": "InternalIP", "address": "2001:db8:100::11"},
        {"type": "Hostname", "address": "worker-1"},
    ]
    assert {item["type"]: item["status"] for item in status["conditions"]} == {
        "MemoryPressure": "False",
        "DiskPressure": "False",
        "PIDPressure": "False",
        "Ready": "True",
    }
    assert status["nodeInfo"]["kubeletVersion"].startswith("v1.36.0-kubelab")


def test_a_node_that_was_thought_lost_is_not_current() -> None:
    shown = node_object(parse(config()), FACTS)
    shown["status"] = node_status(parse(config()), FACTS, {}, NOW)
    assert is_current(parse(config()), FACTS, shown, NOW)
    assert metadata_patch(parse(config()), FACTS, shown) == {}
    shown["status"]["conditions"][-1]["status"] = "Unknown"
    assert not is_current(parse(config()), FACTS, shown, NOW)
    del shown["metadata"]["labels"]["a"]
    assert metadata_patch(parse(config()), FACTS, shown) == {"metadata": {"labels": {"a": "b"}}}


def test_a_lease_is_short_and_belongs_to_its_node() -> None:
    made = lease(parse(config()), NOW, "uid")
    assert made["spec"] == {
        "holderIdentity": "worker-1",
        "leaseDurationSeconds": 2,
        "renewTime": "2027-01-15T08:00:00.500000Z",
    }
    assert made["metadata"]["ownerReferences"][0]["uid"] == "uid"


def test_a_pod_knows_only_its_gateway() -> None:
    gateways = [network[1] for network in networks(["198.18.1.0/24", "2001:db8:200:1::/64"])]
    assert pod_commands(["198.18.1.2", "2001:db8:200:1::2"], gateways) == [
        "link set dev lo up",
        "link set dev eth0 up",
        "address add 198.18.1.2/32 dev eth0",
        "route add 198.18.1.1 dev eth0 src 198.18.1.2",
        "route add default via 198.18.1.1 dev eth0 src 198.18.1.2",
        "address add 2001:db8:200:1::2/128 dev eth0 nodad",
        "route add 2001:db8:200:1::1 dev eth0 src 2001:db8:200:1::2",
        "route add default via 2001:db8:200:1::1 dev eth0 src 2001:db8:200:1::2",
    ]
    link = link_name("u1")
    assert len(link) < 16
    assert plug_commands(link, Path("/n")) == [
        f"link add name {link} type veth peer name eth0 netns /n",
        f"link set dev {link} master cni0 up",
    ]


def test_the_bridge_is_the_gateway_and_the_way_of_service_addresses() -> None:
    addresses = parse(config()).addresses
    assert bridge_commands(
        networks(["198.18.1.0/24"]), networks(["198.18.128.0/17", "2001:db8:300::/112"]), addresses
    ) == [
        "link set dev cni0 up",
        "address replace 198.18.1.1/24 dev cni0",
        "route replace 198.18.128.0/17 dev cni0 src 198.51.100.11",
        "route replace 2001:db8:300::/112 dev cni0 src 2001:db8:100::11",
    ]


def test_names_without_a_name_server_are_in_hosts() -> None:
    place = Place("worker-1", ("198.51.100.11",), ("198.18.1.2",), "198.18.128.1")
    made = etc_files("p", {"hostAliases": [{"ip": "203.0.113.1", "hostnames": ["a", "b"]}]}, place)["hosts"]
    assert "198.18.1.2\tp\n" in made
    assert "198.18.128.1\tkubernetes.default.svc kubernetes.default kubernetes\n" in made
    assert "203.0.113.1\ta b\n" in made


def test_folders_inside_others_are_bound_with_them(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "ab").mkdir()
    folders = [str(tmp_path / name) for name in ("a", "a/b", "ab", "none")]
    assert outermost(folders) == [str(tmp_path / "a"), str(tmp_path / "ab")]
