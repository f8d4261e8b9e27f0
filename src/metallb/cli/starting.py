"""Starts a process: settings from flags and environment, logs, warnings, then the process' own `run`."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import click

from metallb.cli.flags import Flag, GoCommand, Resolved, SettingsError, resolve
from metallb.telemetry import logs

_log = logs.logger(op="startup")


class _Settings(Protocol):
    @property
    def log_level(self) -> str: ...


def process_command(
    name: str,
    flags: Sequence[Flag],
    settings_of: Callable[[Resolved, Mapping[str, str]], _Settings],
    help_text: str,
) -> click.Command:
    """The subcommand of a process whose `metallb.<name>.main` has `run(settings) -> int` (the exit code).

    Args:
        name: of the subcommand and of the process' room.
        flags: its table.
        settings_of: makes the settings of values and environment; raises `SettingsError`.
        help_text: what the process is for.
    """

    def callback(**given: Any) -> None:
        sys.exit(start(name, flags, settings_of, given, os.environ))

    return GoCommand(name, flags, callback, help_text)


def start(
    name: str,
    flags: Sequence[Flag],
    settings_of: Callable[[Resolved, Mapping[str, str]], _Settings],
    given: Mapping[str, str | None],
    environ: Mapping[str, str],
) -> int:
    """Runs the process to its end; 1 if it can't be started with these settings."""
    try:
        resolved = resolve(flags, given, environ)
        settings = settings_of(resolved, environ)
        logs.configure(settings.log_level)
    except (SettingsError, ValueError) as error:
        _log.error("invalid settings", error=error)
        return 1
    for flag, reason in resolved.inert:
        _log.warn("flag without effect", flag=flag, reason=reason)
    if environ.get("METALLB_BGP_TYPE") == "frr":
        _log.warn("the frr backend is deprecated, use frr-k8s", event="deprecated")
    run: Callable[[_Settings], int] = importlib.import_module(f"metallb.{name}.main").run
    return run(settings)
