"""A lab's life: it starts whole or not at all, and whatever its end, nothing is left."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import textwrap
from collections.abc import Awaitable, Callable

import pytest

from kubelab import state, traces
from kubelab.cluster import Cluster, parse
from kubelab.engines import Commands
from kubelab.lab import Lab
from kubelab.launch import Options, StartError
from kubelab.processes import environment
from kubelab.pytest_plugin import FreshLab
from kubelab.state import LabDeadError, LabNotFoundError, LabRunsError

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("lab_ledger")]

Stub = Callable[..., tuple[str, ...]]
Until = Callable[[Callable[[], bool]], Awaitable[None]]

ONE_NODE = parse({"nodes": [{"name": "only", "roles": ["control-plane"]}]}, "-")


async def test_down_leaves_nothing(fresh_lab: FreshLab, stub_options: Options) -> None:
    links = traces.host_links()
    lab = await fresh_lab(options=stub_options)
    remains = traces.of(lab, links)
    assert len(remains.namespaces) >= 5 + 3 * 5
    assert traces.left(remains) != []
    await lab.down()
    assert traces.left(remains) == []
    with pytest.raises(LabNotFoundError):
        Lab.attach(lab.name)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_nothing_but_the_folder_is_left_when_init_ends(
    fresh_lab: FreshLab, stub_options: Options, number: signal.Signals
) -> None:
    lab = await fresh_lab(ONE_NODE, Options(commands=stub_options.commands))
    remains = traces.of(lab, traces.host_links())
    await end(lab.record.pid, number)
    assert [line for line in traces.left(remains) if not line.startswith("folder: ")] == []
    await lab.down()
    assert traces.left(remains) == []


@pytest.mark.parametrize("name", ["apiserver", "controllers", "agent/only"])
async def test_the_loss_of_a_component_is_shown_and_down_still_works(
    fresh_lab: FreshLab, stub_options: Options, until: Until, name: str
) -> None:
    lab = await fresh_lab(ONE_NODE, stub_options)
    remains = traces.of(lab, traces.host_links())
    lab.kill(name)
    await until(lambda: lab.record.processes[name].code == -signal.SIGKILL)
    others = [each.code for other, each in lab.record.processes.items() if other != name]
    assert others == [None, None]
    assert f"{name} was killed by SIGKILL" in lab.layout.log("init").read_text(encoding="utf-8")
    await lab.down()
    assert traces.left(remains) == []


async def test_a_component_that_will_not_end_is_killed(fresh_lab: FreshLab, stub: Stub) -> None:
    lab = await fresh_lab(ONE_NODE, Options(commands=Commands(stub("--stubborn"), stub(), stub())))
    remains = traces.of(lab, traces.host_links())
    async with asyncio.timeout(60):
        await lab.down()
    assert traces.left(remains) == []


async def test_a_second_lab_of_the_same_name_is_refused_and_harms_nothing(
    fresh_lab: FreshLab, stub_options: Options
) -> None:
    lab = await fresh_lab(ONE_NODE, stub_options)
    with pytest.raises(LabRunsError) as caught:
        await Lab.up(ONE_NODE, name=lab.name, options=stub_options)
    assert len(str(caught.value).splitlines()) == 1
    assert f"lab down --name {lab.name}" in str(caught.value)
    assert (await lab.run("client", ["true"])).code == 0


async def test_two_labs_with_the_same_addresses_know_nothing_of_each_other(
    fresh_lab: FreshLab, stub_options: Options
) -> None:
    one, other = await asyncio.gather(fresh_lab(ONE_NODE, stub_options), fresh_lab(ONE_NODE, stub_options))
    ping = ["ping", "-c1", "-W1", "198.51.100.10"]
    patient = ["ping", "-c1", "-W60", "198.51.100.10"]
    assert [(await lab.run("client", patient)).code for lab in (one, other)] == [0, 0]
    one.cut("only")
    assert (await one.run("client", ping, check=False)).code == 1
    assert (await other.run("client", patient)).code == 0
    await one.down()
    assert (await other.run("client", patient)).code == 0


async def test_a_component_that_dies_at_once_ends_the_start_with_its_last_words(lab_name: str, stub: Stub) -> None:
    options = Options(commands=Commands(stub(), stub("--die-early"), stub()))
    with pytest.raises(StartError, match="controllers failed with exit code 1 before it was ready: no luck today"):
        await Lab.up(ONE_NODE, name=lab_name, options=options)
    with pytest.raises(LabDeadError):
        Lab.attach(lab_name)
    assert "no luck today" in state.layout(lab_name).log("controllers").read_text(encoding="utf-8")


async def test_a_lab_starts_where_a_dead_one_has_left_its_folder(
    lab_name: str, stub: Stub, stub_options: Options
) -> None:
    with pytest.raises(StartError):
        await Lab.up(ONE_NODE, name=lab_name, options=Options(commands=Commands(stub("--die-early"), stub(), stub())))
    async with Lab.running(ONE_NODE, name=lab_name, options=stub_options) as lab:
        assert lab.record.phase == "running"


async def test_a_component_that_never_gets_ready_ends_the_start(lab_name: str, stub: Stub) -> None:
    options = Options(commands=Commands(stub("--mute"), stub(), stub()), ready_timeout_s=3)
    with pytest.raises(StartError, match=r"apiserver was not ready after 3 s: .*starting"):
        await Lab.up(ONE_NODE, name=lab_name, options=options)


async def test_a_program_that_is_not_there_ends_the_start(lab_name: str, stub: Stub) -> None:
    options = Options(commands=Commands(("/no/such/program",), stub(), stub()))
    with pytest.raises(StartError, match=r"apiserver failed with exit code 127 .*/no/such/program"):
        await Lab.up(ONE_NODE, name=lab_name, options=options)


async def test_a_start_that_is_given_up_leaves_nothing(lab_name: str, stub: Stub, until: Until) -> None:
    options = Options(commands=Commands(stub("--mute"), stub(), stub()))
    files = state.layout(lab_name)
    starting = asyncio.create_task(Lab.up(ONE_NODE, name=lab_name, options=options))
    await until(lambda: files.log("apiserver").exists() and "starting" in files.log("apiserver").read_text())
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not files.directory.exists()


async def test_a_port_in_use_is_said_and_leaves_nothing(lab_name: str, stub_options: Options) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=f"port {port} on 127.0.0.1: Address already in use"):
            await Lab.up(ONE_NODE, name=lab_name, options=Options(api_port=port, commands=stub_options.commands))
    assert not state.layout(lab_name).directory.exists()


async def test_the_api_port_can_be_chosen(lab_name: str, stub_options: Options) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = Options(api_port=port, commands=stub_options.commands)
    async with Lab.running(ONE_NODE, name=lab_name, options=options) as lab:
        assert lab.record.server == f"https://127.0.0.1:{port}"
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.readline() == b"stub\n"
        writer.close()
        await writer.wait_closed()


async def test_connections_are_refused_when_the_api_server_is_dead(
    fresh_lab: FreshLab, stub_options: Options, until: Until
) -> None:
    lab = await fresh_lab(ONE_NODE, stub_options)
    lab.kill("apiserver")
    await until(lambda: lab.record.processes["apiserver"].code is not None)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", int(lab.record.server.rpartition(":")[2]))


async def test_a_lab_ends_with_the_process_that_holds_its_lifeline(lab_name: str, stub: Stub, until: Until) -> None:
    program = textwrap.dedent(
        f"""
        import asyncio
        from kubelab.cluster import parse
        from kubelab.engines import Commands
        from kubelab.lab import Lab
        from kubelab.launch import Options

        async def main():
            cluster = parse({{"nodes": [{{"name": "only", "roles": ["control-plane"]}}]}}, "-")
            commands = Commands({stub()!r}, {stub()!r}, {stub()!r})
            await Lab.up(cluster, name={lab_name!r}, options=Options(commands=commands, lifeline=True))
            print("up", flush=True)
            await asyncio.Event().wait()

        asyncio.run(main())
        """
    )
    holder = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"up\n"
    lab = Lab.attach(lab_name)
    remains = traces.of(lab, traces.host_links())
    holder.kill()
    await holder.wait()
    await until(lambda: traces.left(remains) == [])


async def test_a_lab_ends_if_whoever_starts_it_is_killed_before_it_is_ready(
    lab_name: str, stub: Stub, until: Until
) -> None:
    program = textwrap.dedent(
        f"""
        import asyncio
        from kubelab.engines import Commands
        from kubelab.lab import Lab
        from kubelab.launch import Options

        commands = Commands({stub("--mute")!r}, {stub()!r}, {stub()!r})
        asyncio.run(Lab.up(name={lab_name!r}, options=Options(commands=commands)))
        """
    )
    files = state.layout(lab_name)
    starter = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    await until(lambda: files.log("apiserver").exists() and "starting" in files.log("apiserver").read_text())
    starter.kill()
    await starter.wait()
    await until(lambda: not state.is_alive(files))


async def test_orphans_are_reaped(fresh_lab: FreshLab, stub_options: Options, until: Until) -> None:
    lab = await fresh_lab(options=stub_options)
    await until(lambda: not any("sleep 0.01" in each.command or each.state == "Z" for each in lab.processes))
    assert len(lab.processes) == 1 + 6 + 4


async def test_what_components_get_from_the_caller_is_chosen(
    fresh_lab: FreshLab, stub_options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://192.0.2.1:3128")
    lab = await fresh_lab(ONE_NODE, stub_options)
    pid = next(each.pid for each in lab.processes if "apiserver.json" in each.command)
    given = environment(pid)
    assert "HTTPS_PROXY" not in given
    assert (given["HOME"], given["TMPDIR"]) == (str(lab.layout.temporary), str(lab.layout.temporary))


async def test_the_default_lab_is_made_of_the_default_cluster(fresh_lab: FreshLab, stub_options: Options) -> None:
    lab = await fresh_lab(options=stub_options)
    assert lab.cluster == Cluster.default()
    assert Lab.attach(lab.name).record == lab.record


async def end(pid: int, number: signal.Signals) -> None:
    """Signal a process and wait until it and its namespace are gone."""
    process = os.pidfd_open(pid)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(process, ended.set)
    try:
        signal.pidfd_send_signal(process, number)
        async with asyncio.timeout(60):
            await ended.wait()
    finally:
        asyncio.get_running_loop().remove_reader(process)
        os.close(process)
