"""The command `metallb`: finds the subcommand and imports that one only.

Subcommands of other distributions join by entry points of the group `metallb.commands` (a click command each).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from importlib import metadata

COMMANDS: Final = {
    "controller": ("metallb.cli.controller:command", "Gives Services their addresses."),
    "operator": ("metallb.cli.operator:command", "Turns a MetalLB resource into a controller and speakers."),
    "speaker": ("metallb.cli.speaker:command", "Announces addresses from the node it runs on."),
    "validate": ("metallb.cli.validate:command", "Checks configuration in files before it is applied."),
}
"""Our own subcommands: where each lives, and its line in the help, for which it need not be imported."""

EXTENSIONS: Final = "metallb.commands"
"""The group of entry points by which other distributions add subcommands."""


class LazyGroup(click.Group):
    """Subcommands that are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Ours and those of entry points, sorted."""
        return sorted({*super().list_commands(ctx), *COMMANDS, *_extensions().names})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports a subcommand; None: there is none of that name."""
        if cmd_name in COMMANDS:
            module, _, attribute = COMMANDS[cmd_name][0].partition(":")
            return _command(cmd_name, getattr(importlib.import_module(module), attribute))
        for entry in _extensions():
            if entry.name == cmd_name:
                return _command(cmd_name, _load(entry))
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The help's list of subcommands; those of other distributions are not imported for it."""
        rows = [(name, COMMANDS[name][1] if name in COMMANDS else _origin(name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _extensions() -> metadata.EntryPoints:
    from importlib import metadata  # 1 MiB, and no daemon looks for extensions

    return metadata.entry_points(group=EXTENSIONS)


def _load(entry: metadata.EntryPoint) -> object:
    try:
        return entry.load()
    except (ImportError, AttributeError) as error:
        raise click.ClickException(f"the command {entry.name!r} ({entry.value}) can't be loaded: {error}") from error


def _command(name: str, found: object) -> click.Command:
    if not isinstance(found, click.Command):
        raise click.ClickException(f"the command {name!r} is no click command but {type(found).__name__}")
    return found


def _origin(name: str) -> str:
    entry = next(iter(_extensions().select(name=name)))
    return f"From {entry.module.partition('.')[0]}."


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="metallb", prog_name="metallb")
def main() -> None:
    """MetalLB: load balancers for Kubernetes clusters that have no cloud."""
