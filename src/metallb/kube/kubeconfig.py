"""kubeconfig files (client-go's v1 Config): merged as kubectl merges them, one context of them becomes credentials."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import yaml
from msgspec import Struct, field

from metallb.kube.credentials import Credentials, CredentialsError, FileToken, FixedToken, Tls, TokenSource
from metallb.kube.execplugin import ExecPlugin


class _Cluster(Struct, rename="kebab"):
    server: str = ""
    certificate_authority: str = ""
    certificate_authority_data: str = ""
    tls_server_name: str = ""
    insecure_skip_tls_verify: bool = False


class _Variable(Struct):
    name: str
    value: str


class _Exec(Struct, rename="camel"):
    command: str
    api_version: str = "client.authentication.k8s.io/v1"
    args: list[str] | None = None
    env: list[_Variable] | None = None
    provide_cluster_info: bool = False


class _User(Struct, rename="kebab"):
    client_certificate: str = ""
    client_certificate_data: str = ""
    client_key: str = ""
    client_key_data: str = ""
    token: str = ""
    token_file: str = field(default="", name="tokenFile")
    username: str = ""
    password: str = ""
    exec: _Exec | None = None


class _Context(Struct):
    cluster: str = ""
    user: str = ""
    namespace: str = ""


class _Named(Struct):
    name: str
    cluster: _Cluster | None = None
    user: _User | None = None
    context: _Context | None = None


class _Config(Struct, rename="kebab"):
    clusters: list[_Named] | None = None
    users: list[_Named] | None = None
    contexts: list[_Named] | None = None
    current_context: str = ""


class _Entry(Struct):
    """One named item and the file that its relative paths start from."""

    file: Path
    item: _Named


def load(files: Sequence[Path], context: str = "") -> Credentials:
    """The credentials of one context; of items of one name the first file's wins, missing files are skipped.

    Raises:
        CredentialsError: no file is there, one can't be read, or the context, its cluster or user is unusable.
    """
    configs = [(path, _read(path)) for path in files if len(files) == 1 or path.exists()]
    where = ":".join(str(path) for path in files)
    if not configs:
        raise CredentialsError(where, "", "none of these files exists")
    current = context or next((c.current_context for _, c in configs if c.current_context), "")
    if not current:
        raise CredentialsError(where, "current-context", "not set, and no context was asked for")
    chosen = _pick(where, "contexts", current, [(p, c.contexts) for p, c in configs]).item.context or _Context()
    cluster = _pick(where, "clusters", chosen.cluster, [(p, c.clusters) for p, c in configs])
    user = (
        _pick(where, "users", chosen.user, [(p, c.users) for p, c in configs])
        if chosen.user
        else _Entry(configs[0][0], _Named("", user=_User()))
    )
    return _credentials(cluster, user, chosen.namespace)


def _read(path: Path) -> _Config:
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        content = yaml.load(path.read_text(), Loader=loader)  # noqa: S506  # both loaders are the safe ones
        return msgspec.convert(content if content is not None else {}, _Config)
    except OSError as error:
        raise CredentialsError(str(path), "", f"can't be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CredentialsError(str(path), "", f"is no YAML: {' '.join(str(error).split())}") from error
    except msgspec.ValidationError as error:
        raise CredentialsError(str(path), "", str(error)) from error


def _pick(where: str, section: str, name: str, lists: Sequence[tuple[Path, list[_Named] | None]]) -> _Entry:
    for path, items in lists:
        for item in items or ():
            if item.name == name:
                return _Entry(path, item)
    raise CredentialsError(where, section, f"has no item named {name!r}")


def _credentials(cluster: _Entry, user: _Entry, namespace: str) -> Credentials:
    endpoint = cluster.item.cluster or _Cluster()
    source = f"{cluster.file}: clusters[{cluster.item.name}]"
    if not endpoint.server.startswith(("https://", "http://")):
        raise CredentialsError(source, "server", f"{endpoint.server!r} is no http(s) URL")
    who = user.item.user or _User()
    person = f"{user.file}: users[{user.item.name}]"
    tls = Tls(
        ca_file=_beside(cluster.file, endpoint.certificate_authority),
        ca_data=_decoded(source, "certificate-authority-data", endpoint.certificate_authority_data),
        cert_file=_beside(user.file, who.client_certificate),
        key_file=_beside(user.file, who.client_key),
        cert_data=_decoded(person, "client-certificate-data", who.client_certificate_data),
        key_data=_decoded(person, "client-key-data", who.client_key_data),
        server_name=endpoint.tls_server_name,
        insecure=endpoint.insecure_skip_tls_verify,
    )
    if tls.cert_data and not tls.key_data:
        tls.key_data = _text(person, "client-key", tls.key_file)
    if tls.key_data and not tls.cert_data:
        tls.cert_data = _text(person, "client-certificate", tls.cert_file)
    return Credentials(
        server=endpoint.server.rstrip("/"),
        namespace=namespace,
        tls=tls,
        tokens=_tokens(user.file, who, tls, endpoint),
        source=str(cluster.file),
    )


def _tokens(file: Path, who: _User, tls: Tls, endpoint: _Cluster) -> TokenSource:
    """client-go's order of preference: the file over the literal token, then basic, then the plugin."""
    if (path := _beside(file, who.token_file)) is not None:
        return FileToken(path)
    if who.token:
        return FixedToken(f"Bearer {who.token}")
    if who.username:
        pair = base64.b64encode(f"{who.username}:{who.password}".encode()).decode()
        return FixedToken(f"Basic {pair}")
    if who.exec is None:
        return FixedToken()
    command = who.exec.command
    if "/" in command and not Path(command).is_absolute():
        command = str(file.parent / command)
    return ExecPlugin(
        command=(command, *(who.exec.args or ())),
        environment={item.name: item.value for item in who.exec.env or ()},
        api_version=who.exec.api_version,
        tls=tls,
        cluster=_cluster_info(endpoint) if who.exec.provide_cluster_info else None,
    )


def _cluster_info(endpoint: _Cluster) -> dict[str, Any]:
    """client.authentication.k8s.io/v1 Cluster."""
    return {
        "server": endpoint.server,
        "tls-server-name": endpoint.tls_server_name,
        "insecure-skip-tls-verify": endpoint.insecure_skip_tls_verify,
        "certificate-authority-data": endpoint.certificate_authority_data,
    }


def _beside(file: Path, name: str) -> Path | None:
    """A path as kubeconfig means it: relative to the file that names it."""
    return file.parent / name if name else None


def _decoded(source: str, field_name: str, data: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode() if data else ""
    except (binascii.Error, UnicodeDecodeError) as error:
        raise CredentialsError(source, field_name, f"is no base64 of PEM text: {error}") from error


def _text(source: str, field_name: str, path: Path | None) -> str:
    if path is None:
        raise CredentialsError(source, field_name, "missing: a certificate and its key belong together")
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise CredentialsError(source, field_name, f"can't be read: {error}") from error
