"""An API server by itself, for tests and for developers: `python -m kubelab.apiserver.standalone --dir DIR`.

Makes certificates, serves on a free loopback port, writes DIR/kubeconfig and prints `ready`. DIR/audit.log tells each
request. `Background` is the same in a thread of the process that wants it, which starts in a fiftieth of the time.
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import random
import socket
import sys
import time
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import Final

import uvloop

from kubelab import pki
from kubelab.apiserver.main import Certificates, Config, run, serve

_LOOPBACK: Final = "127.0.0.1"
_IDENTITIES: Final = {
    "admin": pki.Subject("admin", (pki.ADMINISTRATORS,)),
    "apiserver-kubelet-client": pki.Subject("kube-apiserver-kubelet-client", (pki.ADMINISTRATORS,)),
}


def prepare(folder: Path, descriptor: int, port: int) -> Config:
    """Write certificates and kubeconfig to a folder, and say how to serve with them."""
    authority = pki.Authority(time.time(), random.SystemRandom().randrange)
    names = pki.api_server_names([ipaddress.IPv4Address(_LOOPBACK)])
    server = pki.write_identity(authority.issue(pki.Subject("kube-apiserver", (), names)), folder, "apiserver")
    issued = {name: authority.issue(subject) for name, subject in _IDENTITIES.items()}
    files = {name: pki.write_identity(identity, folder, name) for name, identity in issued.items()}
    ca = folder / "ca.crt"
    ca.write_bytes(authority.certificate)
    account_key = folder / "sa.key"
    pki.write_secret(account_key, pki.service_account_key())
    address = f"https://{_LOOPBACK}:{port}"
    text = pki.kubeconfig(address, authority.certificate, issued["admin"], cluster="standalone", user="admin")
    pki.write_secret(folder / "kubeconfig", text)
    client = files["apiserver-kubelet-client"]
    certificates = Certificates(
        str(ca), str(server.cert), str(server.key), str(account_key), str(client.cert), str(client.key), str(ca)
    )
    return Config(
        certificates,
        listen_fds=(descriptor,),
        advertise=_LOOPBACK,
        advertise_port=port,
        audit_log=str(folder / "audit.log"),
    )


class Background:
    """An API server in a thread of this process, between `start` and `stop`."""

    def __init__(self, folder: Path) -> None:
        """Serves nothing yet; certificates and kubeconfig will be in the folder."""
        self._folder = folder
        self._thread: Thread | None = None
        self._running: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    def start(self, port: int = 0) -> int:
        """Return when it serves, on the port that is returned; 0: a free one.

        Raises:
            OSError: the port is taken, or the folder can't be written to.
        """
        listener = socket.create_server((_LOOPBACK, port))
        port = listener.getsockname()[1]
        config = prepare(self._folder, listener.detach(), port)
        ready: Future[None] = Future()
        self._thread = Thread(target=self._run, args=(config, ready), name="apiserver", daemon=True)
        self._thread.start()
        ready.result()
        return port

    def stop(self) -> None:
        """Return when nothing is served any more; not started, it does nothing."""
        if self._running is not None and self._thread is not None:
            loop, stop = self._running
            loop.call_soon_threadsafe(stop.set)
            self._thread.join()
            self._running = None

    def _run(self, config: Config, ready: Future[None]) -> None:
        async def body() -> None:
            stop = asyncio.Event()
            self._running = asyncio.get_running_loop(), stop
            await serve(config, stop, lambda: ready.set_result(None))

        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(body())
        except OSError as error:
            if ready.done():
                raise
            ready.set_exception(error)


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; the exit code."""
    parser = argparse.ArgumentParser(prog="kubelab.apiserver.standalone", description=__doc__)
    parser.add_argument("--dir", type=Path, required=True, help="where certificates and kubeconfig are written")
    parser.add_argument("--port", type=int, default=0, help="port on loopback; a free one by default")
    given = parser.parse_args(arguments)
    given.dir.mkdir(parents=True, exist_ok=True)
    listener = socket.create_server((_LOOPBACK, given.port))
    port: int = listener.getsockname()[1]
    config = prepare(given.dir, listener.detach(), port)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(config))
    return 0


if __name__ == "__main__":
    sys.exit(main())
