"""The command `lab` as a person or a script uses it: output, errors in a line, exit codes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from kubelab import state
from kubelab.lab import Lab

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


Command = Callable[..., Answer]


@pytest.fixture
def lab(stub_lab: Lab) -> Command:
    """Runs the command for the shared lab."""

    def command(*args: str, environment: dict[str, str] | None = None, stdin: str = "") -> Answer:
        done = subprocess.run(
            [sys.executable, "-c", "from kubelab.cli import lab; lab(prog_name='lab')", *args],
            env={**os.environ, "KUBELAB_NAME": stub_lab.name, **(environment or {})},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    return command


async def test_status_shows_machines_and_processes(lab: Command, stub_lab: Lab) -> None:
    answer = lab("status")
    assert answer.code == 0
    assert f"lab {stub_lab.name}: running" in answer.out
    assert "worker-1    198.51.100.11 2001:db8:100::11" in answer.out
    lines = [line.split() for line in answer.out.splitlines()]
    assert any(
        line[0] == "agent/worker-1" and line[1].isdigit() and line[2] == "ready" for line in lines if len(line) == 3
    )


async def test_status_as_json(lab: Command, stub_lab: Lab) -> None:
    document = json.loads(lab("status", "--output", "json").out)
    assert (document["phase"], document["server"]) == ("running", stub_lab.record.server)
    assert document["machines"]["client"] == ["198.51.100.200", "2001:db8:100::200"]
    process = next(each for each in document["processes"] if each["name"] == "apiserver")
    assert process["state"] == "ready"
    assert "apiserver.json" in Path(f"/proc/{process['pid']}/cmdline").read_text(encoding="utf-8")  # noqa: ASYNC240  # a test has time


async def test_status_is_shown_again_and_again_until_it_is_interrupted(stub_lab: Lab) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from kubelab.cli import lab; lab(prog_name='lab')"),
        *("status", "--watch", "--interval", "0.1", "--output", "json", "--name", stub_lab.name),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        pictures = [json.loads(await process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        await process.stdout.read()
        assert await process.wait() == 0
    assert [(each["name"], each["cluster"]["faults"]) for each in pictures] == [(stub_lab.name, [])] * 2


async def test_run_passes_input_output_and_exit_code_through(lab: Command) -> None:
    assert lab("run", "client", "--", "sh", "-c", "cat; echo bad >&2; exit 5", stdin="in") == Answer(5, "in", "bad\n")
    assert lab("run", "node/worker-1", "hostname").out == "worker-1\n"


async def test_run_as_json(lab: Command) -> None:
    answer = lab("run", "--output", "json", "client", "--", "sh", "-c", "echo out; exit 5")
    assert (answer.code, json.loads(answer.out)) == (5, {"code": 5, "stdout": "out\n", "stderr": ""})


async def test_options_of_the_command_that_is_run_are_its_own(lab: Command) -> None:
    assert lab("run", "client", "--", "echo", "-n", "--name", "x").out == "--name x"


async def test_shell_runs_what_it_is_fed(lab: Command) -> None:
    answer = lab("shell", "node/worker-2", stdin="hostname; exit 4\n")
    assert (answer.code, answer.out) == (4, "worker-2\n")


async def test_logs_prints_a_processs_log(lab: Command) -> None:
    assert lab("logs", "agent/worker-1").out == "starting\n"
    assert "agent/worker-1 started" in lab("logs", "init").err + lab("logs", "init").out


async def test_faults_by_command(lab: Command) -> None:
    assert lab("fault", "list").out == "no fault is in force\n"
    assert lab("fault", "drop", "worker-1", "30%", "--direction", "to").code == 0
    assert lab("fault", "cut", "worker-2").out == "worker-2 is cut off\n"
    assert "agent/worker-3" not in lab("fault", "list").out
    assert lab("fault", "pause", "agent/worker-3").code == 0
    found = json.loads(lab("fault", "list", "-o", "json").out)
    assert [(each["kind"], each["target"]) for each in found] == [
        ("cut", "worker-2"),
        ("drop", "worker-1"),
        ("pause", "agent/worker-3"),
    ]
    assert "paused" in lab("status").out
    for command in (("restore", "worker-1"), ("restore", "worker-2"), ("resume", "agent/worker-3")):
        assert lab("fault", *command).code == 0
    assert lab("fault", "list").out == "no fault is in force\n"


async def test_killed_processes_are_started_by_command(lab: Command) -> None:
    assert lab("fault", "start").out == "all run\n"
    assert lab("fault", "kill", "controllers").code == 0
    assert json.loads(lab("fault", "start", "-o", "json").out) == {"started": ["controllers"]}
    assert lab("fault", "reset", "worker-1", "6443").out.endswith("connections of worker-1 are reset\n")
    assert lab("fault", "start").out == "all run\n"


FAILURES = {
    "no such lab": (["status", "--name", "nobody"], 3, "error: there is no lab 'nobody'; "),
    "no such place": (["run", "mars", "true"], 3, "error: 'mars' is no place in this lab; there are: client, node/"),
    "no such process": (["fault", "kill", "etcd"], 3, "error: 'etcd' is no process of this lab; there are: apiserver"),
    "no such log": (["logs", "etcd"], 3, "error: 'etcd' has no log; these have: agent/control-1"),
    "no such pod": (["fault", "kill", "pod/a/b"], 3, "error: 'pod/a/b' does not run in this lab"),
    "a wrong share": (["fault", "drop", "worker-1", "130%"], 2, "error: share '130%': must be 0 to 1, or 0% to 100%"),
    "a wrong name": (["up", "--name", "A/B"], 2, "error: lab name 'A/B': must be at most 40 lower-case letters"),
    "a second up": (["up"], 4, "runs already: use it, end it by `lab down --name "),
    "no such file": (["up", "-f", "/no/such.yaml", "--name", "other"], 1, "No such file or directory"),
    "no command": (["run", "client"], 2, "Missing argument"),
    "an unknown option": (["up", "--bridge"], 2, "No such option"),
}


@pytest.mark.parametrize(("args", "code", "says"), FAILURES.values(), ids=FAILURES)
async def test_failure(lab: Command, args: list[str], code: int, says: str) -> None:
    answer = lab(*args)
    assert (answer.code, answer.out) == (code, "")
    assert says in answer.err
    assert "Traceback" not in answer.err


async def test_a_wrong_cluster_file_is_told_in_a_line_for_each_problem(lab: Command) -> None:
    answer = lab("up", "-f", "-", "--name", "other", stdin="nodez: 1\npools: [x]\n")
    assert answer.code == 2
    assert [line.split(": ")[:3] for line in answer.err.splitlines()] == [
        ["error", "standard input", "pools[0]"],
        ["error", "standard input", "nodez"],
    ]
    assert "other" not in state.names()


async def test_missing_commands_are_told_with_their_packages(lab: Command) -> None:
    answer = lab("up", "--name", "other", environment={"PATH": "/nowhere"})
    assert answer.code == 1
    assert answer.err == (
        "error: missing on PATH: ip, nft, bwrap, nsenter, unshare, setpriv; "
        "run: apt-get install bubblewrap iproute2 nftables util-linux\n"
    )


async def test_kubectl_is_run_with_its_own_options(lab: Command, stub_lab: Lab, tmp_path: Path) -> None:
    fake = tmp_path / "kubectl"
    fake.write_text('#!/bin/sh\necho "$KUBECONFIG $@"\nexit 9\n', encoding="utf-8")
    fake.chmod(0o755)
    answer = lab("kubectl", "get", "pods", "-o", "wide", "--help", environment={"KUBELAB_KUBECTL": str(fake)})
    assert (answer.code, answer.out) == (9, f"{stub_lab.kubeconfig} get pods -o wide --help\n")
    logs = lab("logs", "pod/default/web/main", environment={"KUBELAB_KUBECTL": str(fake)})
    assert logs.out == f"{stub_lab.kubeconfig} logs -n default web -c main\n"
