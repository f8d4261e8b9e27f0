"""Kubeconfig files: where the API server is and how to prove who asks.

Format: kubernetes.io "Organizing Cluster Access Using kubeconfig Files", client.config/v1.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml

from kubelab.objects import Json, Object


@dataclass(frozen=True, slots=True)
class KubeconfigError(Exception):
    """A kubeconfig that cannot be used: the file, the field, and what is wrong with it."""

    source: str
    field: str
    problem: str

    def __str__(self) -> str:
        """One line for a person."""
        return f"kubeconfig {self.source}: {self.field}: {self.problem}"


@dataclass(frozen=True, slots=True)
class Connection:
    """All that is needed to talk to one API server.

    Certificates and keys are PEM. `token` is sent as it is; `token_file` is read again while the process lives, because
    its content is rotated.
    """

    server: str
    ca: bytes | None = None
    cert: bytes | None = None
    key: bytes | None = None
    token: str = ""
    token_file: Path | None = None
    server_name: str = ""
    insecure: bool = False
    namespace: str = "default"


def load(path: Path | str) -> Connection:
    """The connection of a file's current context.

    Raises:
        KubeconfigError: the file is unreadable, is no kubeconfig, or names something that is not there.
    """
    file = Path(path)
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise KubeconfigError(str(file), "file", error.strerror or str(error)) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise KubeconfigError(str(file), "file", f"is not YAML: {error}") from error
    return parse(document, file)


def parse(document: Json, source: Path) -> Connection:
    """The connection of a decoded kubeconfig's current context; relative file names count from the file's folder.

    Raises:
        KubeconfigError: see `load`.
    """
    reader = _Reader(source)
    if not isinstance(document, dict):
        raise reader.error("file", "must be a mapping")
    current = reader.text(document, "current-context")
    context = reader.entry(document, "contexts", current, "context")
    cluster_name, user_name = reader.text(context, "cluster"), str(context.get("user") or "")
    cluster = reader.entry(document, "clusters", cluster_name, "cluster")
    user = reader.entry(document, "users", user_name, "user") if user_name else {}
    if "exec" in user or "auth-provider" in user:
        raise reader.error(f"users[{user_name}]", "credential plugins are not supported; use a certificate or a token")
    token_file = str(user.get("tokenFile") or "")
    return Connection(
        server=reader.text(cluster, "server").rstrip("/"),
        ca=reader.pem(cluster, "certificate-authority"),
        cert=reader.pem(user, "client-certificate"),
        key=reader.pem(user, "client-key"),
        token=str(user.get("token") or ""),
        token_file=reader.path(token_file) if token_file else None,
        server_name=str(cluster.get("tls-server-name") or ""),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        namespace=str(context.get("namespace") or "default"),
    )


def tls(connection: Connection) -> ssl.SSLContext | None:
    """How to speak TLS with the server; None where it speaks none."""
    if not connection.server.startswith("https:"):
        return None
    context = ssl.create_default_context(cadata=connection.ca.decode() if connection.ca else None)
    if connection.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if connection.cert and connection.key:
        _load_chain(context, connection.cert, connection.key)
    return context


def _load_chain(context: ssl.SSLContext, cert: bytes, key: bytes) -> None:
    """Load a client certificate from memory: the ssl module reads files only, so one exists for a moment."""
    handle, name = tempfile.mkstemp(prefix="kubelab-", suffix=".pem")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(cert.rstrip() + b"\n" + key)
        context.load_cert_chain(name)
    finally:
        Path(name).unlink()


@dataclass(frozen=True, slots=True)
class _Reader:
    """Fields of one kubeconfig, with errors that name the file."""

    source: Path

    def error(self, field: str, problem: str) -> KubeconfigError:
        return KubeconfigError(str(self.source), field, problem)

    def path(self, name: str) -> Path:
        return self.source.parent / name

    def text(self, mapping: Object, field: str) -> str:
        value = mapping.get(field)
        if not isinstance(value, str) or not value:
            raise self.error(field, "must be set")
        return value

    def entry(self, document: Object, section: str, name: str, field: str) -> Object:
        """The named entry of `clusters`, `contexts` or `users`."""
        for item in document.get(section) or []:
            if isinstance(item, dict) and item.get("name") == name:
                value = item.get(field) or {}
                if isinstance(value, dict):
                    return value
                raise self.error(f"{section}[{name}].{field}", "must be a mapping")
        raise self.error(section, f"has no entry named {name!r}")

    def pem(self, mapping: Object, field: str) -> bytes | None:
        """A PEM block given inline (`FIELD-data`, base64; it wins) or as a file name."""
        data, name = mapping.get(f"{field}-data"), mapping.get(field)
        if data:
            try:
                return base64.b64decode(str(data), validate=True)
            except binascii.Error as error:
                raise self.error(f"{field}-data", f"is not base64: {error}") from error
        if not name:
            return None
        try:
            return self.path(str(name)).read_bytes()
        except OSError as error:
            raise self.error(field, f"{name}: {error.strerror}") from error
