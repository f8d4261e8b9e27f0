"""The command `lab fault`: harm a lab on purpose, and mend it again."""

from __future__ import annotations

import asyncio
from typing import Literal, get_args

import click
import msgspec

from kubelab import apifaults, report
from kubelab.apiserver.injected import Answer, Injected
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


@fault.command("oom")
@click.argument("target")
@name_option
@output_option
@explained
def out_of_memory(target: str, name: str, output: str) -> None:
    """Kill a pod's containers for want of memory.

    TARGET is pod/NAMESPACE/NAME[/CONTAINER]. They end with OOMKilled.
    """
    emit_processes(output, "killed", Lab.attach(name).out_of_memory(target))


@fault.command(epilog=examples("lab fault clock pod/metallb-system/controller-0 -3600"))
@click.argument("target")
@click.argument("seconds", type=float)
@name_option
@output_option
@explained
def clock(target: str, seconds: float, name: str, output: str) -> None:
    """Have a pod see a wall clock that is wrong.

    TARGET is pod/NAMESPACE/NAME. Its containers are killed and start with a clock that is SECONDS ahead; 0 ends it.
    """
    killed = Lab.attach(name).skew_clock(target, seconds)
    emit(output, {"clock": target, "seconds": seconds, "killed": len(killed)}, [f"{target}: clock {seconds:+g} s"])


@fault.command(
    epilog=examples(
        "lab fault api 429 --share 30% --retry-after 2",
        "lab fault api 500 --user system:serviceaccount:metallb-system: --verb update --verb patch",
        "lab fault api silence",
        "lab fault api off",
    )
)
@click.argument("answer", type=click.Choice([*get_args(Answer), "off"]))
@click.option("--share", default="100%", show_default=True, help="Of the requests, drawn one by one; 30% or 0.3.")
@click.option("--user", default="", help="Only requests of users whose name starts like this; of all by default.")
@click.option("--verb", "verbs", multiple=True, help="Only this verb of the API, such as update; may be repeated.")
@click.option("--resource", "resources", multiple=True, help="Only this, such as services/status; may be repeated.")
@click.option("--retry-after", type=click.IntRange(0), default=1, show_default=True, help="Seconds, with 429 and 503.")
@name_option
@output_option
@explained
def api(
    answer: str,
    share: str,
    user: str,
    verbs: tuple[str, ...],
    resources: tuple[str, ...],
    retry_after: int,
    name: str,
    output: str,
) -> None:
    """Have the API server answer wrongly.

    ANSWER is an HTTP status, silence (no answer until the fault ends), quiet-watches (watches stay open and tell
    nothing) or off. It replaces what was in force.
    """
    given = {
        "answer": answer,
        "share": parse_share(share),
        "user": user,
        "verbs": verbs,
        "resources": resources,
        "retryAfterSeconds": retry_after,
    }
    injected = None if answer == "off" else msgspec.convert(given, Injected)
    Lab.attach(name).api_fault(injected)
    told = "the API answers rightly" if injected is None else f"the API: {apifaults.describe(injected)}"
    emit(output, {"fault": msgspec.to_builtins(injected)}, [told])


@fault.command()
@click.argument("how", type=click.Choice(["close", "compact"]))
@name_option
@output_option
@explained
def watches(how: Literal["close", "compact"], name: str, output: str) -> None:
    """End all watches.

    HOW is close, or compact: then whoever resumes is told that the past is gone (410) and has to list again.
    """
    Lab.attach(name).end_watches(how)
    emit(output, {"watches": how}, ["all watches have ended"])


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
