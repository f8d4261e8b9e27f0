"""The Python packages: what the lock has for the product, installed for any architecture, hashes checked."""

from __future__ import annotations

import email
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PYTHON: Final = "3.11"
_GLIBC: Final = range(36, 16, -1)
"""Minor versions of glibc 2 that a wheel may ask for: Debian 12 has 2.36."""

MACHINES: Final = {"amd64": "x86_64", "arm64": "aarch64"}
_PIN: Final = re.compile(r"^([A-Za-z0-9._-]+)==")


class WheelError(Exception):
    """The Python packages can't be brought together; the message says which one, and what pip said."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """A Python package as it is in the image; `licence` is an SPDX expression or what its makers wrote instead."""

    name: str
    version: str
    licence: str


def closure(wanted: Iterable[str], requires: Mapping[str, list[str]], machine: str) -> set[str]:
    """The canonical names of all that requirements need, in turn, on Linux with this machine. Pure.

    Raises:
        WheelError: nothing is known about one of them.
    """
    here = {
        "python_version": PYTHON, "python_full_version": f"{PYTHON}.2", "sys_platform": "linux",
        "platform_system": "Linux", "platform_machine": machine, "os_name": "posix",
        "implementation_name": "cpython", "platform_python_implementation": "CPython", "extra": "",
    }  # fmt: skip
    found: set[str] = set()
    line = [Requirement(each) for each in wanted]
    while line:
        one = line.pop()
        name = canonicalize_name(one.name)
        if name in found or (one.marker is not None and not one.marker.evaluate(here)):
            continue
        if name not in requires:
            raise WheelError(f"{name}: not in the environment that the lock was installed into")
        found.add(name)
        line += [Requirement(each) for each in requires[name]]
    return found


def part_of_lock(lock: str, names: set[str]) -> str:
    """The entries of a lock with these canonical names, with their hashes. Pure.

    Raises:
        WheelError: the lock lacks one.
    """
    entries: dict[str, str] = {canonicalize_name(name): text for name, text in _entries(lock)}
    if missing := sorted(names - set(entries)):
        raise WheelError(f"requirements.lock lacks {', '.join(missing)}: run `make lock`")
    return "".join(entries[name] for name in sorted(names))


def _entries(lock: str) -> Iterator[tuple[str, str]]:
    name, lines = "", list[str]()
    for line in [*lock.splitlines(keepends=True), "end==\n"]:
        if match := _PIN.match(line):
            if name:
                yield name, "".join(lines)
            name, lines = match[1], []
        lines.append(line)


def environment_requires() -> dict[str, list[str]]:
    """What each package of the running environment, which the lock was installed into, needs in turn."""
    return {canonicalize_name(each.metadata["Name"]): list(each.requires or []) for each in metadata.distributions()}


def install(requirements: Path, architecture: str, target: Path) -> None:
    """Install wheels for an architecture into a folder. Each has one of the hashes that are asked for, or nothing is.

    Raises:
        WheelError: pip can't; with what it said.
    """
    machine = MACHINES[architecture]
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in _GLIBC] + [f"manylinux2014_{machine}"]
    _pip(
        "--require-hashes", "--no-deps", "--only-binary", ":all:", "--implementation", "cp", "--python-version", PYTHON,
        *(word for name in platforms for word in ("--platform", name)),
        *(word for abi in ("cp311", "abi3", "none") for word in ("--abi", abi)),
        "--target", str(target), "-r", str(requirements),
    )  # fmt: skip


def install_product(root: Path, folder: Path, target: Path, epoch: int) -> None:
    """Build the product's wheel into `folder` and install it alone.

    Raises:
        WheelError: it can't be built or installed.
    """
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(
        build, cwd=root, env={"PATH": "/usr/bin:/bin", "SOURCE_DATE_EPOCH": str(epoch)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    wheels = sorted(folder.glob("metallb-*.whl"))
    if done.returncode or len(wheels) != 1:
        raise WheelError(f"the product's wheel: {done.stderr[-2000:]}")
    _pip("--no-deps", "--no-index", "--target", str(target), str(wheels[0]))


def distributions(site: Path) -> list[Distribution]:
    """What is installed in a folder, by name."""
    found = []
    for file in sorted(site.glob("*.dist-info/METADATA")):
        fields = email.message_from_string(file.read_text(encoding="utf-8"))
        classifiers = [line for line in fields.get_all("Classifier", []) if line.startswith("License :: ")]
        said = fields["License-Expression"] or (fields["License"] or "").partition("\n")[0].strip()
        licence = said or "; ".join(line.rpartition(" :: ")[2] for line in classifiers) or "NOASSERTION"
        found.append(Distribution(str(canonicalize_name(fields["Name"])), fields["Version"], licence))
    return sorted(found, key=lambda each: each.name)


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-compile",
               "--no-warn-conflicts", "--root-user-action=ignore", *arguments]  # fmt: skip
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith(("ERROR", "    "))]
        raise WheelError("pip: " + ("\n".join(said) or done.stderr[-2000:]))
