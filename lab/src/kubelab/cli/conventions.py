"""What all commands of the lab have in common: options, exit codes, how errors and results are printed."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import ParamSpec, TypeVar

import click

from kubelab import state
from kubelab.cluster import ClusterError
from kubelab.faults import FaultError
from kubelab.lab import CommandError
from kubelab.launch import StartError
from kubelab.objects import Json
from kubelab.places import PlaceError
from kubelab.preflight import PreflightError
from kubelab.processes import Process
from kubelab.state import LabDeadError, LabNotFoundError, LabRunsError

P = ParamSpec("P")
R = TypeVar("R")

EXIT_CODES = {
    1: (StartError, PreflightError, FaultError, CommandError, OSError),
    2: (ClusterError, ValueError),
    3: (LabNotFoundError, LabDeadError, PlaceError),
    4: (LabRunsError,),
}
"""Exit code -> errors that end a command with it."""

EXIT_HELP = """\b
Exit codes: 0 done, 1 it failed, 2 wrong usage or cluster file, 3 there is no
such lab, place or process, 4 the lab runs already. `run`, `shell` and
`kubectl` end with the exit code of the command they ran.

"""


def explained(command: Callable[P, R]) -> Callable[P, R]:
    """Turn the errors that users can do something about into lines on standard error and an exit code."""

    @functools.wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except tuple(kind for kinds in EXIT_CODES.values() for kind in kinds) as error:
            for line in str(error).splitlines():
                click.echo(f"error: {line}", err=True)
            sys.exit(exit_code(error))

    return wrapper


def exit_code(error: Exception) -> int:
    """The exit code that an error ends a command with; the narrowest kind decides."""
    for code in (4, 3, 2, 1):
        if isinstance(error, EXIT_CODES[code]):
            return code
    return 1


name_option = click.option(
    "--name", default=state.DEFAULT_NAME, envvar="KUBELAB_NAME", show_default=True, metavar="LAB", help="Which lab."
)
output_option = click.option(
    "--output",
    "-o",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="For people or programs.",
)
network_option = click.option("--network", metavar="NAME", help="Only its cable to this network; all by default.")


def examples(*commands: str) -> str:
    """The end of a help page: command lines, each on a line of its own."""
    return "\n".join(["\b", "Examples:", *(f"  {command}" for command in commands)])


def emit(output: str, document: Json, lines: Iterable[str]) -> None:
    """Print a command's result, for programs or for people."""
    click.echo(json.dumps(document, indent=1) if output == "json" else "\n".join(lines))


def emit_processes(output: str, verb: str, done: Sequence[Process]) -> None:
    """Print which processes something was done to."""
    document = {verb: [{"pid": each.pid, "command": each.command} for each in done]}
    emit(output, document, [f"{verb}: process {each.pid}: {each.command}" for each in done])
