"""The command `lab fault`: harm a lab on purpose, and mend it again."""

from __future__ import annotations

import asyncio

import click

from kubelab import report
from kubelab.cli.conventions import (
    emit,
    emit_processes,
    examples,
    explained,
    name_option,
    network_option,
    output_option,
)
from kubelab.faults import Direction
from kubelab.lab import Lab


@click.group(
    epilog=examples(
        "lab fault cut worker-1",
        "lab fault drop worker-2 30% --direction to",
        "lab fault pause apiserver",
        "lab fault list",
    )
)
def fault() -> None:
    """Harm a lab on purpose, and mend it again."""


@fault.command()
@click.argument("machine")
@network_option
@name_option
@output_option
@explained
def cut(machine: str, network: str | None, name: str, output: str) -> None:
    """Pull a machine's cable."""
    Lab.attach(name).cut(machine, network)
    emit(output, {"cut": machine}, [f"{machine} is cut off"])


@fault.command()
@click.argument("machine")
@network_option
@name_option
@output_option
@explained
def restore(machine: str, network: str | None, name: str, output: str) -> None:
    """Mend a machine's network.

    Its cable is put back and none of its packets are dropped any more.
    """
    Lab.attach(name).restore(machine, network)
    emit(output, {"restored": machine}, [f"{machine} is on the network again"])


@fault.command()
@click.argument("machine")
@click.argument("share")
@click.option(
    "--direction",
    type=click.Choice([each.value for each in Direction]),
    default=Direction.BOTH.value,
    show_default=True,
    help="Only packets that come from the machine, or go to it.",
)
@network_option
@name_option
@output_option
@explained
def drop(machine: str, share: str, direction: str, network: str | None, name: str, output: str) -> None:
    """Drop packets of a machine at random.

    SHARE is 30% or 0.3; 0 ends it.
    """
    Lab.attach(name).drop(machine, parse_share(share), Direction(direction), network)
    emit(output, {"drop": machine, "share": parse_share(share)}, [f"{share} of {machine}'s packets are dropped"])


@fault.command()
@click.argument("target")
@name_option
@output_option
@explained
def kill(target: str, name: str, output: str) -> None:
    """Kill a process, a pod or a whole node.

    TARGET is apiserver, controllers, agent/NODE, node/NODE (its agent and all its pods) or
    pod/NAMESPACE/NAME[/CONTAINER]. Nothing but pods is started again, except by start.
    """
    emit_processes(output, "killed", Lab.attach(name).kill(target))


@fault.command()
@click.argument("target")
@name_option
@output_option
@explained
def pause(target: str, name: str, output: str) -> None:
    """Freeze a process, a pod or a whole node.

    TARGET is as for kill. It stays there and does nothing until it is resumed.
    """
    emit_processes(output, "paused", Lab.attach(name).pause(target))


@fault.command()
@click.argument("target")
@name_option
@output_option
@explained
def resume(target: str, name: str, output: str) -> None:
    """Let what was paused go on."""
    emit_processes(output, "resumed", Lab.attach(name).resume(target))


@fault.command()
@name_option
@output_option
@explained
def start(name: str, output: str) -> None:
    """Start the lab's own processes that were killed.

    The API server comes back with all its objects.
    """
    started = asyncio.run(Lab.attach(name).start())
    emit(output, {"started": started}, [f"started: {each}" for each in started] or ["all run"])


@fault.command()
@click.argument("machine")
@click.argument("port", type=click.IntRange(1, 65535))
@name_option
@output_option
@explained
def reset(machine: str, port: int, name: str, output: str) -> None:
    """Reset a machine's TCP connections from or to PORT."""
    count = Lab.attach(name).reset(machine, port)
    emit(output, {"reset": count}, [f"{count} connections of {machine} are reset"])


@fault.command("list")
@name_option
@output_option
@explained
def list_faults(name: str, output: str) -> None:
    """Show the faults in force."""
    found = Lab.attach(name).faults()
    rows = [[each.kind, each.target, each.detail] for each in found]
    lines = report.table(["FAULT", "TARGET", "DETAIL"], rows) if rows else ["no fault is in force"]
    emit(output, [report.fault_document(each) for each in found], lines)


def parse_share(text: str) -> float:
    """A share as a number from 0 to 1, written as such or with %.

    Raises:
        ValueError: it is none.
    """
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ValueError(f"share {text!r}: must be 0 to 1, or 0% to 100%")
    return share
