"""The API server's process: configuration file in, `ready` on standard output once it serves, SIGTERM ends it."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from kubelab import component
from kubelab.apiserver.audit_log import AuditLog
from kubelab.apiserver.cel.evaluator import RuleEvaluator
from kubelab.apiserver.http import Credentials, Shell, inherited, listen
from kubelab.apiserver.journal import Journal
from kubelab.apiserver.kubelets import ClientFiles, Kubelets
from kubelab.apiserver.request import User
from kubelab.apiserver.resources import Settings
from kubelab.apiserver.server import Options, Server
from kubelab.apiserver.tokens import TokenKeys
from kubelab.apiserver.webhooks.https import HttpsCaller

_USAGE: Final = "usage: python -m kubelab.apiserver CONFIG.json"


class Certificates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Paths of PEM files. `kubelet_client_cert` and `kubelet_client_key` identify the server to node agents."""

    ca: str
    cert: str
    key: str
    service_account_key: str = ""
    kubelet_client_cert: str = ""
    kubelet_client_key: str = ""
    kubelet_ca: str = ""


class StaticUser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom a fixed token belongs to."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The configuration file. `listen_fds` are inherited sockets, `listen` are addresses to bind."""

    certificates: Certificates
    listen_fds: tuple[int, ...] = ()
    listen: tuple[str, ...] = ()
    service_cidrs: tuple[str, ...] = ("198.18.128.0/17", "2001:db8:300::/112")
    advertise: str = "198.51.100.10"
    advertise_port: int = 6443
    issuer: str = ""
    tokens: Mapping[str, StaticUser] = msgspec.field(default_factory=dict)
    log: str = ""
    """File to log to; standard error if empty."""
    journal: str = ""
    """File that keeps the objects over a restart; they are in memory only if empty."""
    audit_log: str = ""
    """File that each request is told in; none if empty."""


@dataclass(frozen=True, slots=True)
class ConfigError(Exception):
    """The configuration can't be used: which file, and why."""

    path: str
    why: str

    def __str__(self) -> str:
        """One line for the log."""
        return f"{self.path}: {self.why}"


def load(path: str) -> Config:
    """Read a configuration file.

    Raises:
        ConfigError: it can't be read or does not fit.
    """
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=Config)
    except OSError as error:
        raise ConfigError(path, error.strerror or str(error)) from error
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ConfigError(path, str(error)) from error


async def serve(config: Config, stop: asyncio.Event, ready: Callable[[], None] | None = None) -> None:
    """Serve until `stop` is set; `ready` is called once all sockets accept.

    Raises:
        OSError: a socket can't be bound or a certificate can't be read.
    """
    files = config.certificates
    sockets = [inherited(one) for one in config.listen_fds] + [listen(one) for one in config.listen]
    keys = _keys(files.service_account_key)
    async with AsyncExitStack() as stack:
        for one in sockets:
            stack.callback(one.close)
        kubelets = await stack.enter_async_context(Kubelets(_client_files(files)))
        webhooks = await stack.enter_async_context(HttpsCaller())
        server = Server(
            Options(
                settings=_settings(config),
                keys=keys,
                tokens={token: User(one.name, one.groups, one.uid) for token, one in config.tokens.items()},
                kubelet=kubelets,
                rules=RuleEvaluator(),
                webhooks=webhooks,
                journal=Journal(Path(config.journal)) if config.journal else None,
                audit_log=AuditLog(Path(config.audit_log)).note if config.audit_log else None,
            )
        )
        credentials = Credentials(Path(files.ca), Path(files.cert), Path(files.key))
        await stack.enter_async_context(Shell(server, credentials, sockets))
        if ready is not None:
            ready()
        await stop.wait()


def _keys(path: str) -> TokenKeys | None:
    return TokenKeys.load(Path(path).read_bytes()) if path else None


def _settings(config: Config) -> Settings:
    issuer = config.issuer or Settings().issuer
    return Settings(config.service_cidrs, Settings().node_ports, config.advertise, config.advertise_port, issuer)


def _client_files(files: Certificates) -> ClientFiles:
    cert = Path(files.kubelet_client_cert) if files.kubelet_client_cert else None
    key = Path(files.kubelet_client_key) if files.kubelet_client_key else None
    return ClientFiles(Path(files.kubelet_ca or files.ca), cert, key)


def announce() -> None:
    """Tell the parent process that requests are answered now."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()


async def run(config: Config) -> None:
    """Serve until a signal ends the process.

    Raises:
        OSError: a socket can't be bound or a certificate can't be read.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve(config, stop, announce)


def main(arguments: list[str] | None = None) -> int:
    """Run the process; its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    if len(given) != 1:
        sys.stderr.write(_USAGE + "\n")
        return 2
    try:
        config = load(given[0])
        _log_to(config.log)
        component.collect_rarely()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(config))
    except (ConfigError, OSError, ValueError) as error:
        sys.stderr.write(f"kubelab apiserver: {error}\n")
        return 1
    return 0


def _log_to(path: str) -> None:
    shape = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    logging.basicConfig(filename=path or None, level=logging.INFO, format=shape)
