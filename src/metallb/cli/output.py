"""How commands answer: text for people, JSON for programs, and what their exit codes mean."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import click
import msgspec

Format = Literal["text", "json"]
T = TypeVar("T")


class Exit(enum.IntEnum):
    """Exit codes of all commands.

    `PROBLEM`: the command worked and found something that is not as it should be; scripts can tell it from `FAILED`.
    `metallb validate` alone ends as linters do: 1 is what it found, 2 that it could not look.
    """

    OK = 0
    FAILED = 1
    USAGE = 2
    PROBLEM = 3


def output_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds `-o/--output text|json` to a click command; it arrives as `output`."""
    return click.option(
        "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Output format."
    )(command)


def show(value: T, output: Format, text: Callable[[T], str]) -> None:
    """Prints a value: as JSON (a Struct, a dataclass, plain data), or as `text` makes it readable."""
    if output == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2))
    else:
        click.echo(text(value))
