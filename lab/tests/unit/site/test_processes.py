"""A lab's processes read from /proc: the right ones, by both of their ids."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kubelab.processes import Process, ProcessTable, children, environment

LAB, NESTED, HOST = "pid:[9001]", "pid:[9002]", "pid:[9000]"

PROCESSES = [
    # host pid, parent, ids in each namespace, pid namespace, state, command
    (1, 0, "1", HOST, "S", "init"),
    (100, 1, "100 1", LAB, "S", "kubelab-init"),
    (110, 100, "110 10", LAB, "S", "apiserver"),
    (120, 100, "120 20", LAB, "T", "agent"),
    (121, 120, "121 21 1", NESTED, "S", "bwrap"),
    (122, 121, "122 22 2", NESTED, "S", "pod"),
    (130, 7, "130 30", LAB, "R", "entered from outside"),
    (200, 1, "200 1", "pid:[9100]", "S", "another box"),
    (201, 200, "201 10", "pid:[9100]", "S", "in another box"),
]


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    for pid, parent, ids, namespace, state, command in PROCESSES:
        folder = tmp_path / str(pid)
        (folder / "ns").mkdir(parents=True)
        tabbed = ids.replace(" ", "\t")
        status = f"Name:\t{command[:15]}\nState:\t{state} (x)\nPPid:\t{parent}\nNSpid:\t{tabbed}\n"
        (folder / "status").write_text(status, encoding="utf-8")
        (folder / "cmdline").write_bytes(command.replace(" ", "\0").encode() + b"\0")
        (folder / "ns/pid").symlink_to(namespace)
        (folder / "ns/net").symlink_to(f"net:[{pid}]")
    (tmp_path / "300").mkdir()
    (tmp_path / "meminfo").touch()
    return tmp_path


def test_a_labs_processes_are_those_in_its_namespace_and_below(proc: Path) -> None:
    table = ProcessTable.read(100, proc)
    assert [(each.pid, each.lab_pid) for each in table] == [
        (100, 1),
        (110, 10),
        (120, 20),
        (121, 21),
        (122, 22),
        (130, 30),
    ]


def test_a_process_is_found_by_its_id_in_the_lab(proc: Path) -> None:
    table = ProcessTable.read(100, proc)
    assert table.find(20) == Process(120, 20, 100, "T", "agent", "net:[120]")
    assert table.find(99) is None


def test_a_tree_is_a_process_and_all_below_parents_first(proc: Path) -> None:
    table = ProcessTable.read(100, proc)
    assert [each.pid for each in table.tree([120])] == [120, 121, 122]
    assert [each.pid for each in table.tree([122, 120])] == [122, 120, 121]
    assert table.tree([999]) == []


@pytest.mark.parametrize("pid", [999, 120, 300], ids=["gone", "not process 1", "ending"])
def test_there_are_none_without_an_init(proc: Path, pid: int) -> None:
    assert len(ProcessTable.read(pid, proc)) == 0


def test_environment_and_children_of_this_process() -> None:
    assert environment(os.getpid())["PATH"]
    assert isinstance(children(os.getpid()), list)


def test_a_process_that_is_gone_has_neither() -> None:
    assert (environment(1 << 30), children(1 << 30)) == ({}, [])
