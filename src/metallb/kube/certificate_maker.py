"""A self-signed certificate made by a process that ends: X.509 takes 4 MiB, and is needed once."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

import metallb

_PROGRAM: Final = "import sys; sys.path.append(sys.argv[1]); from metallb.kube.certificate_maker import main; main()"


async def self_signed_elsewhere(name: str, dns_names: Sequence[str], *, wall_s: float) -> tuple[str, str]:
    """As `certificates.self_signed`; the key is never written to a file.

    Raises:
        OSError: the process can't be run.
    """
    package = str(Path(metallb.__file__).parent.parent)
    wanted = msgspec.json.encode([name, dns_names, wall_s])
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-c", _PROGRAM, package, stdin=PIPE, stdout=PIPE, stderr=DEVNULL
    )
    try:
        made, _ = await process.communicate(wanted)
    finally:
        if process.returncode is None:  # we were told to stop
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise OSError(f"the process that makes it ended with {process.returncode}")
    return msgspec.json.decode(made, type=tuple[str, str])


def main() -> None:
    """Reads what is wanted from standard input, writes certificate and key to standard output."""
    from metallb.kube.certificates import self_signed

    name, dns_names, wall_s = msgspec.json.decode(sys.stdin.buffer.read(), type=tuple[str, list[str], float])
    sys.stdout.buffer.write(msgspec.json.encode(self_signed(name, dns_names, wall_s=wall_s)))
