"""What a node agent is told about its node: its configuration file, checked field by field."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubelab.objects import Json, Object
from kubelab.proxy.model import Address, Network


class ConfigError(Exception):
    """A field of the configuration file is missing or wrong; the message names file, field, value and rule."""


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """The configuration of one node agent. Addresses and ranges are those of both families, primary first."""

    node: str
    kubeconfig: Path
    addresses: tuple[Address, ...]
    labels: Mapping[str, str]
    taints: tuple[Object, ...]
    pod_cidrs: tuple[Network, ...]
    cluster_cidrs: tuple[Network, ...]
    service_cidrs: tuple[Network, ...]
    state_dir: Path
    images: Mapping[str, Mapping[str, list[str]]]
    server_cert: Path | None
    server_key: Path | None
    client_ca: Path | None
    port: int = 10250
    backoff_s: float = 10.0
    log_limit: int = 10 * 1024 * 1024
    layouts: tuple[str, ...] = ()

    @property
    def pods_dir(self) -> Path:
        """Where the pods of this node have their files."""
        return self.state_dir / "pods" / self.node


def load(path: Path) -> AgentConfig:
    """Read a configuration file.

    Raises:
        ConfigError: it cannot be read or a field is wrong.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: must be a JSON object")
    return parse(raw, str(path))


def parse(raw: Object, source: str = "config") -> AgentConfig:
    """A configuration from its JSON.

    Raises:
        ConfigError: a field is missing or wrong.
    """
    fields = _Fields(raw, source)
    cert = fields.mapping("server_cert")
    return AgentConfig(
        node=fields.text("node"),
        kubeconfig=Path(fields.text("kubeconfig")),
        addresses=tuple(fields.each("addresses", ipaddress.ip_address)),
        labels={str(key): str(value) for key, value in fields.mapping("labels").items()},
        taints=tuple(fields.each("taints", _taint)),
        pod_cidrs=tuple(fields.each("pod_cidrs", ipaddress.ip_network)),
        cluster_cidrs=tuple(fields.each("cluster_cidrs", ipaddress.ip_network)),
        service_cidrs=tuple(fields.each("service_cidrs", ipaddress.ip_network)),
        state_dir=Path(fields.text("state_dir")),
        images=fields.mapping("images"),
        server_cert=Path(cert["cert"]) if cert.get("cert") else None,
        server_key=Path(cert["key"]) if cert.get("key") else None,
        client_ca=Path(raw["client_ca"]) if raw.get("client_ca") else None,
        port=int(fields.number("port", 10250)),
        backoff_s=fields.number("backoff_s", 10.0),
        log_limit=int(fields.number("log_limit", 10 * 1024 * 1024)),
        layouts=tuple(fields.each("layouts", str)),
    )


class _Fields:
    """Typed access to the fields of one JSON object."""

    def __init__(self, raw: Object, source: str) -> None:
        self._raw, self._source = raw, source

    def text(self, name: str) -> str:
        value = self._raw.get(name)
        if not isinstance(value, str) or not value:
            raise self._wrong(name, value, "must be a text that is not empty")
        return value

    def mapping(self, name: str) -> dict[str, Any]:
        value = self._raw.get(name) or {}
        if not isinstance(value, dict):
            raise self._wrong(name, value, "must be an object")
        return value

    def number(self, name: str, default: float) -> float:
        value = self._raw.get(name, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or value <= 0:
            raise self._wrong(name, value, "must be a number above 0")
        return float(value)

    def each(self, name: str, parse_item: Any) -> list[Any]:
        value = self._raw.get(name) or []
        if not isinstance(value, list):
            raise self._wrong(name, value, "must be a list")
        items = []
        for index, item in enumerate(value):
            try:
                items.append(parse_item(item))
            except (ValueError, TypeError, KeyError) as error:
                raise self._wrong(f"{name}[{index}]", item, str(error)) from error
        return items

    def _wrong(self, field: str, value: Json, rule: str) -> ConfigError:
        return ConfigError(f"{self._source}: {field}: {value!r}: {rule}")


def _taint(item: Json) -> Object:
    if not isinstance(item, dict) or not item.get("key") or not item.get("effect"):
        raise ValueError("a taint needs key and effect")
    return dict(item)
