"""The build context: a folder for each layer of the Containerfile, for one architecture."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from scripts.images import debian, keeping, tree, wheels
from scripts.images.debian import Package
from scripts.images.names import TARGETS
from scripts.images.wheels import Distribution
from scripts.olm.source import PACKAGING, ROOT

SOURCES: Final = PACKAGING / "images"
WITH_NET_RAW: Final = "usr/libexec/metallb/python-net-raw"
"""The speaker's interpreter: a file may hold a capability, a script can't."""

STRIP: Final = {"amd64": "x86_64-linux-gnu-strip", "arm64": "aarch64-linux-gnu-strip"}


@dataclass(frozen=True, slots=True)
class Context:
    """A build context that is complete, and what it was made from."""

    folder: Path
    packages: tuple[Package, ...]
    distributions: tuple[Distribution, ...]


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes build contexts below a folder that keeps what was fetched."""

    work: Path
    epoch: int
    cached: bool = False

    def make(self, architecture: str, native: str) -> Context:
        """The context for an architecture; `native` is this machine's, whose interpreter does the compiling.

        Raises:
            FetchError, WheelError, TreeError: a part can't be had or made.
            OSError: the disk refuses.
        """
        folder = self.work / f"context-{architecture}"
        shutil.rmtree(folder, ignore_errors=True)
        packages = self._debian(architecture, folder / "debian")
        interpreter = folder / "debian"
        if architecture != native:
            interpreter = self.work / f"interpreter-{native}"
            shutil.rmtree(interpreter, ignore_errors=True)
            self._debian(native, interpreter)
        found = self._python(architecture, folder, interpreter)
        tree.compile_sources(interpreter, folder / "debian", keeping.STDLIB)
        self._entrypoints(folder)
        for name in ("debian", "dependencies", "product", *(target.name for target in TARGETS)):
            tree.normalise(folder / name)
        tree.allow(folder / "speaker" / WITH_NET_RAW, tree.CAP_NET_RAW)
        return Context(folder, tuple(packages), tuple(found))

    def _debian(self, architecture: str, root: Path) -> list[Package]:
        wanted = yaml.safe_load((SOURCES / "packages.yaml").read_text())
        debs = self.work / f"debs-{architecture}"
        if not (self.cached and debs.is_dir()):
            debian.fetch(wanted["suite"], sorted(wanted["packages"]), architecture, debs)
        root.mkdir(parents=True)
        packages = debian.unpack(debs, wanted["packages"], root)
        tree.skeleton(root)
        return packages

    def _python(self, architecture: str, folder: Path, interpreter: Path) -> list[Distribution]:
        requires = wheels.environment_requires()
        names = wheels.closure(requires["metallb"], requires, wheels.MACHINES[architecture])
        lock = folder / "requirements.txt"
        lock.write_text(wheels.part_of_lock((ROOT / "requirements.lock").read_text(), names))
        found = []
        for name in ("dependencies", "product"):
            site = folder / name / keeping.SITE
            if name == "product":
                wheels.install_product(ROOT, folder / "wheel", site, self.epoch)
            else:
                wheels.install(lock, architecture, site)
            tree.prune(site)
            tree.strip(site, STRIP[architecture])
            tree.compile_sources(interpreter, folder / name, keeping.SITE)
            found += wheels.distributions(site)
        return found

    def _entrypoints(self, folder: Path) -> None:
        for target in TARGETS:
            program = folder / target.name / target.program.strip("/")
            program.parent.mkdir(parents=True)
            shutil.copy(SOURCES / "entrypoints" / program.name, program)
        own = folder / "speaker" / WITH_NET_RAW
        own.parent.mkdir(parents=True)
        shutil.copy(folder / "debian/usr/bin/python3.11", own)
