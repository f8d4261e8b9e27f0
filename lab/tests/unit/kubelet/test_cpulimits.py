"""CPU limits: which hierarchy a machine has, and what is written there."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubelab.kubelet.cpulimits import CpuLimits, Hierarchy, group_of, hierarchy

MOUNTS = {
    "version 2": ("cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0", Hierarchy(Path("/sys/fs/cgroup"), 2)),
    "version 1": (
        "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0",
        Hierarchy(Path("/sys/fs/cgroup/cpu,cpuacct"), 1, "cpu,cpuacct"),
    ),
    "both: CPU time is in version 1": (
        "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0",
        Hierarchy(Path("/sys/fs/cgroup/cpu"), 1, "cpu"),
    ),
    "version 1 without CPU time": ("cgroup /sys/fs/cgroup/cpuset cgroup rw,cpuset 0 0", None),
    "none": ("proc /proc proc rw 0 0", None),
}


@pytest.mark.parametrize(("text", "found"), MOUNTS.values(), ids=MOUNTS)
def test_the_hierarchy_is_found_among_the_mounts(text: str, found: Hierarchy | None) -> None:
    assert hierarchy(text) == found


@pytest.mark.parametrize(
    ("version", "millis", "written"),
    [
        (1, 500, ("cpu.cfs_quota_us", "50000")),
        (1, 2000, ("cpu.cfs_quota_us", "200000")),
        (2, 250, ("cpu.max", "25000 100000")),
        (2, 1, ("cpu.max", "1000 100000")),
    ],
)
def test_a_limit_is_a_share_of_each_period(version: int, millis: int, written: tuple[str, str]) -> None:
    assert Hierarchy(Path("/x"), version).limit(millis) == written


def test_processes_are_put_into_a_group_of_the_container(tmp_path: Path) -> None:
    limits = CpuLimits(Hierarchy(tmp_path, 2), "kubelab-lab")
    assert limits.apply("uid", "web", 100, [7])
    folder = tmp_path / "kubelab-lab" / "uid.web"
    assert (folder / "cpu.max").read_text() == "10000 100000"
    assert (folder / "cgroup.procs").read_text() == "7"
    assert (tmp_path / "kubelab-lab" / "cgroup.subtree_control").read_text() == "+cpu"


def test_a_machine_without_a_hierarchy_limits_nothing() -> None:
    limits = CpuLimits(None, "kubelab-lab")
    assert not limits.apply("uid", "web", 100, [7])
    limits.remove("uid")


def test_two_labs_of_one_name_have_groups_of_their_own() -> None:
    assert group_of(Path("/run/kubelab/lab")) != group_of(Path("/tmp/kubelab/lab"))
