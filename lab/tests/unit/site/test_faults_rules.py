"""Faults as rules and as words."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubelab import apifaults, faults, state
from kubelab.apiserver.injected import Injected
from kubelab.cli.faults import parse_share
from kubelab.cluster import Cluster, plan
from kubelab.faults import Direction, FaultError, Scene, drop_rules
from kubelab.preflight import missing_commands, missing_rights
from kubelab.processes import Process
from kubelab.report import phase, process_state, table
from kubelab.state import ProcessRecord, Record
from kubelab.supervisor import how_it_ended


def test_packets_from_a_machine_enter_the_switch_and_packets_to_it_leave_it() -> None:
    assert drop_rules("a", 0.25, Direction.FROM).splitlines() == [
        "add table netdev drop-a",
        "delete table netdev drop-a",
        "add table netdev drop-a",
        'add chain netdev drop-a ingress { type filter hook ingress device "a" priority 0; }',
        "add rule netdev drop-a ingress numgen random mod 1000000 < 250000 counter drop",
    ]
    assert "hook egress" in drop_rules("a", 0.25, Direction.TO)
    assert drop_rules("a", 0.25, Direction.BOTH).count("add rule") == 2


def test_all_packets_are_dropped_without_chance() -> None:
    assert "numgen" not in drop_rules("a", 1.0, Direction.BOTH)


def test_no_share_is_no_rule() -> None:
    assert drop_rules("a", 0.0, Direction.BOTH) == "add table netdev drop-a\ndelete table netdev drop-a\n"


SHARES = {"30%": 0.3, "0.3": 0.3, "0": 0.0, "100%": 1.0, "1": 1.0, "0.5%": 0.005}


@pytest.mark.parametrize(("text", "share"), SHARES.items(), ids=SHARES)
def test_share(text: str, share: float) -> None:
    assert parse_share(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "x", "101%", "1.1", "-1", "nan", "%"])
def test_no_share(text: str) -> None:
    with pytest.raises(ValueError, match="must be 0 to 1, or 0% to 100%"):
        parse_share(text)


def test_missing_commands_are_named_with_the_packages_that_bring_them() -> None:
    assert missing_commands(lambda command: None if command in {"bwrap", "nft"} else command) == [
        "missing on PATH: nft, bwrap; run: apt-get install bubblewrap nftables"
    ]
    assert missing_commands(lambda command: command) == []


def test_without_root_there_is_no_lab() -> None:
    assert missing_rights(0) == []
    assert missing_rights(1000) == ["a lab needs root, to make namespaces: run the command again with sudo"]


RUNNING = Process(1000, 7, 1, "S", "apiserver", "net:[1]")
STATES = {
    "ready": (ProcessRecord(7, ready=True), RUNNING, "ready"),
    "starting": (ProcessRecord(7), RUNNING, "starting"),
    "paused": (ProcessRecord(7, ready=True), Process(1000, 7, 1, "T", "x", ""), "paused"),
    "killed": (ProcessRecord(7, ready=True, code=-9), None, "killed by signal 9"),
    "ended": (ProcessRecord(7, ready=True, code=3), None, "ended with exit code 3"),
    "gone": (ProcessRecord(7, ready=True), None, "gone"),
}


@pytest.mark.parametrize(("record", "process", "state"), STATES.values(), ids=STATES)
def test_process_state(record: ProcessRecord, process: Process | None, state: str) -> None:
    assert process_state(record, process) == state


def test_a_lab_without_a_living_process_is_dead() -> None:
    assert phase(None, alive=False) == "dead"
    assert phase(None, alive=True) == "starting"


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert table(["A", "BB"], [["aaa", "b"], ["a", ""]]) == ["A     BB", "aaa   b", "a"]


ENDS = {None: "runs", 0: "ended", 3: "failed with exit code 3", -9: "was killed by SIGKILL"}


@pytest.mark.parametrize(("code", "words"), ENDS.items(), ids=map(str, ENDS))
def test_how_it_ended(code: int | None, words: str) -> None:
    assert how_it_ended(code) == words


@pytest.fixture
def real(tmp_path: Path) -> Scene:
    """A lab on a real API server, as faults see it."""
    cluster = Cluster.default()
    record = Record(
        name="one", pid=1, phase="running", started_at=0.0, server="https://127.0.0.1:1", cluster={}, addresses={},
        engine="real",
    )  # fmt: skip
    return Scene(state.layout("one", tmp_path), record, cluster, plan(cluster))


def test_a_real_api_server_is_not_told_to_answer_wrongly(real: Scene) -> None:
    with pytest.raises(FaultError, match="that is the embedded engine's; it can be killed or paused"):
        apifaults.put(real, Injected("500"))
    with pytest.raises(FaultError, match="kill and start it: its past begins anew"):
        apifaults.end_watches(real, "compact")
    assert list(apifaults.in_force(real)) == []


def test_watches_of_a_real_api_server_end_with_their_connections(real: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, int]] = []
    monkeypatch.setattr(faults, "reset", lambda _scene, machine, port: told.append((machine, port)))
    apifaults.end_watches(real, "close")
    assert told == [("control-1", 6443)]
