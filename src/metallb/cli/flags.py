"""The flags of a process as a table: from it come parser, defaults from the environment, help, and the warnings.

A flag that is accepted but without effect so far says so when it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import click

from metallb.cli.goflags import normalise, truth

BgpType = Literal["native", "frr", "frr-k8s"]
Kind = Literal["text", "number", "port", "switch"]
Values = Mapping[str, Any]
"""By the settings' field names."""


class SettingsError(Exception):
    """A flag or an environment variable that can't be: names it, its value and the rule."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag.

    Attributes:
        name: without dashes; empty for what only the environment can say.
        field: of the settings; empty: the name with underscores.
        default: as text.
        kind: how the text is read.
        help: what it is for.
        env: the environment variable that replaces the default.
        inert: why it has no effect (yet); empty: it has.
        settled: values that describe what happens anyway: no warning for them.
    """

    name: str
    help: str
    default: str = ""
    kind: Kind = "text"
    field: str = ""
    env: str = ""
    inert: str = ""
    settled: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """The settings' field."""
        return self.field or self.name.replace("-", "_")

    @property
    def shown(self) -> str:
        """As messages call it."""
        return f"--{self.name}" if self.name else self.env

    def read(self, text: str, source: str) -> str | int | bool:
        """The value of a text that came from `source`.

        Raises:
            SettingsError: it can't be read as this kind.
        """
        if self.kind == "text":
            return text
        try:
            if self.kind == "switch":
                return truth(text)
            number = int(text)
        except ValueError as error:
            raise SettingsError(f"{source}={text!r}: {_rule(self.kind, error)}") from error
        if self.kind == "port" and not 0 <= number <= 65535:  # noqa: PLR2004  # ports have 16 bits
            raise SettingsError(f"{source}={text!r}: want a port from 0 to 65535")
        return number


def _rule(kind: Kind, error: ValueError) -> str:
    return str(error) if kind == "switch" else "want a whole number"


@dataclass(frozen=True, slots=True)
class Resolved:
    """What flags and environment say.

    Attributes:
        values: by the settings' field names, each flag of the table.
        inert: the flags that were given and have no effect, with the reason.
    """

    values: dict[str, Any]
    inert: list[tuple[str, str]]


def resolve(flags: Sequence[Flag], given: Mapping[str, str | None], environ: Mapping[str, str]) -> Resolved:
    """Each flag's value: as given, else from the environment (an empty variable counts as unset), else its default.

    Args:
        flags: the table.
        given: by field name, what stood on the command line; None: nothing.
        environ: usually `os.environ`.

    Raises:
        SettingsError: a value can't be read.
    """
    values: dict[str, Any] = {}
    inert: list[tuple[str, str]] = []
    for flag in flags:
        text, source = given.get(flag.target), flag.shown
        if text is None and flag.env and environ.get(flag.env):
            text, source = environ[flag.env], flag.env
        if text is not None and flag.inert and text not in flag.settled:
            inert.append((source, flag.inert))
        values[flag.target] = flag.read(flag.default if text is None else text, source)
    return Resolved(values, inert)


def log_level(level: str, levels: Mapping[str, int]) -> str:
    """The level, if it is one.

    Raises:
        SettingsError: it is none of `levels`.
    """
    if level not in levels:
        raise SettingsError(f"--log-level={level!r}: want one of {', '.join(levels)}")
    return level


def namespace(value: str, read: Callable[[], str]) -> str:
    """MetalLB's namespace: as told, else as `read` finds it in the pod.

    Raises:
        SettingsError: it is nowhere.
    """
    found = value or read()
    if not found:
        raise SettingsError(
            "--namespace: not given, $METALLB_NAMESPACE is empty, and this is no pod with a service account"
        )
    return found


def bgp_type(environ: Mapping[str, str]) -> BgpType:
    """`$METALLB_BGP_TYPE`; native where it is absent.

    Raises:
        SettingsError: it is none of native, frr, frr-k8s; also when it is set to nothing.
    """
    value = environ.get("METALLB_BGP_TYPE", "native")
    match value:
        case "native" | "frr" | "frr-k8s":
            return value
        case _:
            raise SettingsError(f"METALLB_BGP_TYPE={value!r}: want native, frr or frr-k8s")


class GoCommand(click.Command):
    """A click command that reads its arguments as Go does."""

    def __init__(self, name: str, flags: Sequence[Flag], callback: Callable[..., None], help_text: str) -> None:
        """A command with one option for each flag of the table."""
        self._switches = frozenset(flag.name for flag in flags if flag.kind == "switch")
        super().__init__(
            name,
            params=[_option(flag) for flag in flags if flag.name],
            callback=callback,
            help=help_text,
            context_settings={"help_option_names": ["--help"], "max_content_width": 120},
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses what Go would have understood."""
        return super().parse_args(ctx, normalise(args, self._switches))


def _option(flag: Flag) -> click.Option:
    notes = [f"default {flag.default}" if flag.default else "", f"env {flag.env}" if flag.env else ""]
    said = "; ".join(note for note in notes if note)
    pending = f" Without effect: {flag.inert}." if flag.inert else ""
    return click.Option(
        [f"--{flag.name}", flag.target],
        default=None,
        metavar={"text": "TEXT", "number": "N", "port": "PORT", "switch": "[true|false]"}[flag.kind],
        help=f"{flag.help}{f' ({said})' if said else ''}{pending}",
    )
