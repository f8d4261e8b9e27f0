"""PEM text into a TLS context: the ssl module reads files only, and a pod may have no place to write one."""

from __future__ import annotations

import os
import ssl
import tempfile
from pathlib import Path


def load_chain(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Makes `context` show this certificate chain; the key is never written to a disk that lasts.

    Raises:
        OSError: the PEM is unusable (`ssl.SSLError` is one).
    """
    pem = f"{certificate}\n{key}\n".encode()
    try:
        descriptor = os.memfd_create("tls", os.MFD_CLOEXEC)
    except OSError:
        _load_by_file(context, pem)
        return
    try:
        os.write(descriptor, pem)
        path = f"/proc/self/fd/{descriptor}"
        if Path(path).exists():
            context.load_cert_chain(path)
        else:
            _load_by_file(context, pem)
    finally:
        os.close(descriptor)


def _load_by_file(context: ssl.SSLContext, pem: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chain.pem"
        path.touch(mode=0o600)
        path.write_bytes(pem)
        context.load_cert_chain(path)
