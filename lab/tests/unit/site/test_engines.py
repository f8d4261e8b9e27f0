"""What the embedded engine writes for its components, and in which order they start."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from kubelab import kubeconfig, state
from kubelab.cluster import parse, plan
from kubelab.cluster.model import Images
from kubelab.engines import Commands, EmbeddedEngine, Site, architecture, installed_images, merged_images
from kubelab.objects import Json


def config(site: Site, name: str) -> Json:
    return json.loads(site.path(name).read_text(encoding="utf-8"))


def test_the_api_server_starts_first_and_inherits_the_hosts_socket(site: Site) -> None:
    first, second = EmbeddedEngine().stages(site)
    assert [(each.name, each.machine, each.pass_fds) for each in first] == [("apiserver", "control-1", (7,))]
    assert [(each.name, each.machine) for each in second] == [
        ("controllers", "control-1"),
        ("agent/control-1", "control-1"),
        ("agent/worker-1", "worker-1"),
        ("agent/worker-2", "worker-2"),
        ("agent/worker-3", "worker-3"),
    ]
    assert first[0].argv == ("/venv/python", "-P", "-m", "kubelab.apiserver", str(site.path("apiserver.json")))


def test_commands_can_be_replaced(site: Site) -> None:
    engine = EmbeddedEngine(Commands(apiserver=("fake", "{python}")))
    assert engine.stages(site)[0][0].argv == ("fake", "/venv/python", str(site.path("apiserver.json")))


def test_the_api_server_is_told_where_to_listen(site: Site) -> None:
    EmbeddedEngine().prepare(site)
    found = config(site, "apiserver.json")
    assert found["listen_fds"] == [7]
    assert found["listen"] == ["198.51.100.10:6443", "[2001:db8:100::10]:6443"]
    assert (found["advertise"], found["advertise_port"]) == ("198.51.100.10", 6443)
    assert found["service_cidrs"] == ["198.18.128.0/17", "2001:db8:300::/112"]
    for path in found["certificates"].values():
        assert Path(path).read_bytes().startswith(b"-----BEGIN")


def test_an_agent_is_told_about_its_node(site: Site) -> None:
    EmbeddedEngine().prepare(site)
    found = config(site, "agent-worker-2.json")
    assert found["node"] == "worker-2"
    assert found["addresses"] == ["198.51.100.12", "2001:db8:100::12"]
    assert found["pod_cidrs"] == ["198.18.2.0/24", "2001:db8:200:2::/64"]
    assert found["labels"]["kubernetes.io/hostname"] == "worker-2"
    assert found["labels"]["kubernetes.io/arch"]
    assert found["api_endpoints"] == ["198.51.100.10:6443", "[2001:db8:100::10]:6443"]
    assert config(site, "agent-control-1.json")["taints"] == [
        {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
    ]


def test_the_administrator_comes_from_the_host_and_components_from_inside(site: Site) -> None:
    EmbeddedEngine().prepare(site)
    assert kubeconfig.load(site.layout.kubeconfig).server == "https://127.0.0.1:4321"
    for name in ("controllers.kubeconfig", "agent-worker-1.kubeconfig"):
        assert kubeconfig.load(site.path(name)).server == "https://198.51.100.10:6443"


def test_a_cluster_of_ipv6_alone_is_reached_by_it(tmp_path: Path) -> None:
    layout = state.layout("six", tmp_path)
    lock = state.claim(layout)
    cluster = parse({"networks": [{"name": "x", "ipv6": "2001:db8:1::/64"}]}, "-")
    site = Site(layout, cluster, plan(cluster), 7, "https://127.0.0.1:1", "python", 0.0, lambda n: n // 3)
    EmbeddedEngine().prepare(site)
    assert kubeconfig.load(site.path("controllers.kubeconfig")).server == "https://[2001:db8:1::10]:6443"
    assert config(site, "apiserver.json")["advertise"] == "2001:db8:1::10"
    os.close(lock)


def test_images_of_the_cluster_file_win_and_the_interpreter_is_filled_in() -> None:
    first: Images = {"web": {"": ("{python}", "-m", "web")}}
    others: list[Images] = [{"web": {"": ("other",)}, "db": {"/db": ("db", "{python}")}}]
    assert merged_images(first, others, "/python") == {
        "web": {"": ["/python", "-m", "web"]},
        "db": {"/db": ["db", "/python"]},
    }


def test_installed_image_maps_can_be_merged() -> None:
    for reference, commands in merged_images({}, installed_images(), "/python").items():
        assert all(argv and "{python}" not in argv for argv in commands.values()), reference


ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "riscv64": "riscv64"}


@pytest.mark.parametrize(("machine", "label"), ARCHITECTURES.items(), ids=ARCHITECTURES)
def test_architecture(machine: str, label: str) -> None:
    assert architecture(machine) == label
