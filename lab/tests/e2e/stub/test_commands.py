"""Commands in the lab: they run where they are told, and end when nobody waits for them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from kubelab.lab import KUBECTL_VARIABLE, CommandError, Lab
from kubelab.launch import Options
from kubelab.places import PlaceError
from kubelab.pytest_plugin import FreshLab

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

Until = Callable[[Callable[[], bool]], Awaitable[None]]


async def test_input_output_and_exit_code_arrive(stub_lab: Lab) -> None:
    done = await stub_lab.run("client", ["sh", "-c", "cat; echo bad >&2; exit 7"], stdin="in", check=False)
    assert (done.code, done.stdout, done.stderr) == (7, "in", "bad\n")


async def test_a_failed_command_is_an_error_with_its_last_words(stub_lab: Lab) -> None:
    with pytest.raises(CommandError, match="sh -c echo no >&2; exit 3: exit code 3: no") as caught:
        await stub_lab.run("client", ["sh", "-c", "echo no >&2; exit 3"])
    assert caught.value.result.code == 3


async def test_environment_can_be_added(stub_lab: Lab) -> None:
    assert (await stub_lab.run("client", ["printenv", "COLOUR"], environment={"COLOUR": "red"})).stdout == "red\n"


async def test_a_command_that_takes_too_long_is_killed(stub_lab: Lab, until: Until) -> None:
    with pytest.raises(CommandError, match=r"sleep 4711: took longer than 0\.1 s"):
        await stub_lab.run("client", ["sleep", "4711"], timeout_s=0.1)
    await until(lambda: not sleeps(stub_lab, "4711"))


async def test_a_command_nobody_waits_for_any_more_is_killed(stub_lab: Lab, until: Until) -> None:
    waiting = asyncio.create_task(stub_lab.run("node/worker-1", ["sleep", "4712"]))
    await until(lambda: sleeps(stub_lab, "4712"))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await until(lambda: not sleeps(stub_lab, "4712"))


async def test_signals_reach_the_program_itself(stub_lab: Lab) -> None:
    process = await stub_lab.popen(
        "client",
        ["sh", "-c", 'trap "echo got it; exit 5" USR1; echo on; while :; do read x; done'],
        stdin=asyncio.subprocess.PIPE,
    )
    assert await process.stdout.readline() == b"on\n"
    process.send_signal(signal.SIGUSR1)
    process.stdin.write(b"\n")
    out, _ = await process.communicate()
    assert (out, process.code) == (b"got it\n", 5)


async def test_commands_end_with_the_lab(fresh_lab: FreshLab, stub_options: Options) -> None:
    lab = await fresh_lab(options=stub_options)
    process = await lab.popen("client", ["sh", "-c", "echo on; sleep 4713"])
    assert await process.stdout.readline() == b"on\n"
    await lab.down()
    assert await process.wait() != 0


async def test_a_pod_is_reached_in_its_own_network(stub_lab: Lab) -> None:
    links = await stub_lab.run("pod/default/web-worker-1/main", ["ip", "-br", "link"])
    assert [line.split()[0] for line in links.stdout.splitlines()] == ["lo"]


NOWHERE = {
    "unknown client": ("nobody", "there are: client, node/control-1, node/worker-1"),
    "unknown node": ("node/worker-9", "there are: client, node/control-1"),
    "a node without its kind": ("worker-1", "there are: client, node/control-1"),
    "no pod's name": ("pod/web", "a pod is named pod/NAMESPACE/NAME"),
    "unknown pod": ("pod/default/x", "these do: pod/default/web-control-1"),
    "unknown container": ("pod/default/web-worker-1/side", "does not run in this lab"),
}


@pytest.mark.parametrize(("where", "says"), NOWHERE.values(), ids=NOWHERE)
async def test_nowhere(stub_lab: Lab, where: str, says: str) -> None:
    with pytest.raises(PlaceError, match=says):
        await stub_lab.run(where, ["true"])


async def test_kubectl_uses_the_labs_kubeconfig_and_leaves_its_caches_in_the_lab(
    stub_lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "kubectl"
    fake.write_text('#!/bin/sh\necho "$KUBECONFIG $HOME $@"; cat\n', encoding="utf-8")
    fake.chmod(0o755)
    monkeypatch.setenv(KUBECTL_VARIABLE, str(fake))
    done = await stub_lab.kubectl("apply", "-f", "-", stdin="{}")
    folder = stub_lab.layout.directory
    assert done.stdout == f"{folder}/kubeconfig {folder}/tmp apply -f -\n{{}}"


def sleeps(lab: Lab, how_long: str) -> bool:
    return any(each.command.endswith(f"sleep {how_long}") for each in lab.processes)
