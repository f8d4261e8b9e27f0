from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from typing import Any

import click
import msgspec
import pytest
from click.testing import CliRunner

from metallb.cli import main as main_module
from metallb.cli.images import IMAGES
from metallb.cli.main import COMMANDS, main
from metallb.cli.output import Exit, output_option, show

PROCESSES = ("controller", "operator", "speaker")
"""The subcommands that run for ever, in pods."""


def entry_points(monkeypatch: pytest.MonkeyPatch, *pairs: tuple[str, str]) -> None:
    points = metadata.EntryPoints(metadata.EntryPoint(name, value, main_module.EXTENSIONS) for name, value in pairs)
    monkeypatch.setattr(metadata, "entry_points", lambda **_group: points)


def python(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False, env=kept | environ
    )


def test_the_help_lists_all_commands_without_importing_them(monkeypatch: pytest.MonkeyPatch) -> None:
    entry_points(monkeypatch, ("lab", "no.such.module:lab"))
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    for name in (*COMMANDS, "lab"):
        assert f"\n  {name} " in result.output


def test_a_command_of_another_distribution_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    entry_points(monkeypatch, ("lab", "metallb.cli.main:main"))
    assert "Commands:" in CliRunner().invoke(main, ["lab", "--help"]).output


@pytest.mark.parametrize(
    ("value", "says"), [("no.such.module:lab", "can't be loaded"), ("metallb.cli.images:IMAGES", "no click command")]
)
def test_a_broken_extension_is_named(value: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entry_points(monkeypatch, ("lab", value))
    result = CliRunner().invoke(main, ["lab"])
    assert result.exit_code == Exit.FAILED
    assert says in result.output
    assert "'lab'" in result.output


def test_an_unknown_command_is_a_usage_error() -> None:
    assert CliRunner().invoke(main, ["fly"]).exit_code == Exit.USAGE


def test_the_version_is_the_distributions() -> None:
    result = CliRunner().invoke(main, ["--version"])
    assert result.output.strip() == f"metallb, version {metadata.version('metallb')}"


@pytest.mark.parametrize("name", PROCESSES)
def test_each_process_explains_its_flags(name: str) -> None:
    result = CliRunner().invoke(main, [name, "-help"])
    assert result.exit_code == 0
    assert "--log-level" in result.output


def test_a_wrong_setting_is_logged_and_the_exit_code_is_1() -> None:
    done = python("-m", "metallb", "controller", "-log-level=loud", METALLB_NAMESPACE="x")
    assert done.returncode == 1
    line = msgspec.json.decode(done.stdout)
    assert (line["level"], line["op"]) == ("error", "startup")
    assert "loud" in line["error"]


def test_an_unknown_flag_is_a_usage_error() -> None:
    done = python("-m", "metallb", "speaker", "--wings=2")
    assert done.returncode == Exit.USAGE
    assert "--wings" in done.stderr


def test_a_process_gets_its_settings_and_its_code_is_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[Any] = []
    module = type(sys)("metallb.controller.main")

    def run(settings: Any) -> int:
        got.append(settings)
        return 7

    module.run = run  # type: ignore[attr-defined]  # a stand-in
    monkeypatch.setitem(sys.modules, "metallb.controller.main", module)
    monkeypatch.setenv("METALLB_NAMESPACE", "ns")
    result = CliRunner().invoke(main, ["controller", "-port", "1", "--webhook-mode=disabled", "--lb-class=x"])
    assert result.exit_code == 7, result.output
    assert (got[0].port, got[0].namespace, got[0].webhook_mode, got[0].lb_class) == (1, "ns", "disabled", "x")


@pytest.mark.parametrize("name", PROCESSES)
def test_a_daemon_imports_neither_rich_nor_yaml_nor_the_other_processes(name: str) -> None:
    others = [f"metallb.{other}" for other in PROCESSES if other != name]
    code = f"""
import sys
from metallb.cli.main import main, COMMANDS
import importlib
importlib.import_module(COMMANDS[{name!r}][0].partition(":")[0])
import metallb.kube.informer, metallb.kube.reconciler, metallb.kube.serving, metallb.kube.events, metallb.kube.daemon
loaded = [m for m in sys.modules if m.split(".")[0] in ("rich", "yaml", "kubelab") or any(m.startswith(o) for o in {others!r})]
assert not loaded, loaded
"""
    done = python("-c", code)
    assert done.returncode == 0, done.stderr


def test_each_image_runs_its_process_with_and_without_a_command() -> None:
    assert {image.partition(":")[0] for image in IMAGES} == {f"metallb-py/{name}" for name in PROCESSES}
    for image, commands in IMAGES.items():
        name = image.partition(":")[0].partition("/")[2]
        assert "" in commands
        for argv in commands.values():
            assert argv == ["{python}", "-m", "metallb", name]
    assert set(IMAGES["metallb-py/operator:0.1.0"]) == {"", "/manager"}


@pytest.mark.parametrize(("arguments", "expected"), [([], "2 pools\n"), (["-o", "json"], '{\n  "pools": 2\n}\n')])
def test_an_answer_is_text_or_json(arguments: list[str], expected: str) -> None:
    @click.command()
    @output_option
    def command(output: Any) -> None:
        show({"pools": 2}, output, lambda value: f"{value['pools']} pools")

    assert CliRunner().invoke(command, arguments).output == expected
