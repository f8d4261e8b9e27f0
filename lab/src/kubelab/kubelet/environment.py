"""What a container's program is told: pod fields, environment, `$(NAME)` references.

Sources: kubernetes.io/docs/concepts/workloads/pods/downward-api, .../inject-data-application/define-interdependent-
environment-variables (an unknown name stays as written, `$$` is a dollar sign).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from kubelab.kubelet.podspec import Container, EnvVar, FieldRef, Pod, Ref
from kubelab.objects import Object

Lookup: TypeAlias = Callable[[str, str], Object | None]
"""(configmap or secret, name) in the pod's namespace -> the object, None if there is none."""

_REFERENCE = re.compile(r"\$(?:\$|\(([-._a-zA-Z][-._a-zA-Z0-9]*)\))")
_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")
_VARIABLE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")


class MissingError(Exception):
    """Something a pod refers to that is not there (yet); the message is worded as the kubelet does."""


class PendingError(MissingError):
    """What a pod refers to has been asked for and not come yet: nothing to tell people about."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a pod runs: the node's name and addresses, the pod's own addresses, the API's service address."""

    node: str
    host_ips: tuple[str, ...]
    pod_ips: tuple[str, ...]
    api_host: str = ""
    api_port: int = 443


def field_value(pod: Pod, place: Place, path: str) -> str:
    """The text of a pod field.

    Raises:
        MissingError: the field is none of those a pod may be told.
    """
    meta = pod.raw["metadata"]
    if match := _SUBSCRIPT.fullmatch(path):
        return str((meta.get(match[1]) or {}).get(match[2], ""))
    fields: dict[str, Callable[[], str]] = {
        "metadata.name": lambda: pod.name,
        "metadata.namespace": lambda: pod.namespace,
        "metadata.uid": lambda: pod.uid,
        "metadata.labels": lambda: _pairs(meta.get("labels")),
        "metadata.annotations": lambda: _pairs(meta.get("annotations")),
        "spec.nodeName": lambda: place.node,
        "spec.serviceAccountName": lambda: pod.service_account,
        "status.hostIP": lambda: next(iter(place.host_ips), ""),
        "status.hostIPs": lambda: ",".join(place.host_ips),
        "status.podIP": lambda: next(iter(place.pod_ips), ""),
        "status.podIPs": lambda: ",".join(place.pod_ips),
    }
    if path not in fields:
        raise MissingError(f"unsupported fieldPath: {path}")
    return fields[path]()


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replace `$(NAME)` by known values and `$$` by a dollar sign; all else stays."""

    def replacement(match: re.Match[str]) -> str:
        name = match[1]
        return "$" if name is None else values.get(name, match[0])

    return _REFERENCE.sub(replacement, text)


def environment(
    pod: Pod, container: Container, place: Place, lookup: Lookup, image: Mapping[str, str] | None = None
) -> dict[str, str]:
    """All variables of a container. Later ones see earlier ones; `env` wins over `envFrom`, both over the image's.

    Raises:
        MissingError: a ConfigMap, Secret or key that is not optional is not there.
    """
    values = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root" if not container.security.user else "/",
        **(image or {}),
        "HOSTNAME": place.node if pod.host_network else pod.hostname,
    }
    if place.api_host:
        values["KUBERNETES_SERVICE_HOST"] = place.api_host
        values["KUBERNETES_SERVICE_PORT"] = values["KUBERNETES_SERVICE_PORT_HTTPS"] = str(place.api_port)
    for source in container.env_from:
        obj = lookup(source.kind, source.name)
        if obj is None and not source.optional:
            raise MissingError(f'{source.kind} "{source.name}" not found')
        for key, data in data_of(source.kind, obj).items():
            if _VARIABLE.fullmatch(source.prefix + key):
                values[source.prefix + key] = data.decode(errors="replace")
    for entry in container.env:
        value = _value(entry, pod, place, lookup, values)
        if value is not None:
            values[entry.name] = value
    return values


def wrong_clock(file: Path) -> dict[str, str]:
    """The variables by which libfaketime makes a program's wall clock wrong; none where the file is not there."""
    try:
        library, _, offset = file.read_text(encoding="ascii").partition("\n")
    except OSError:
        return {}
    return {"LD_PRELOAD": library, "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}


def data_of(kind: str, obj: Object | None) -> dict[str, bytes]:
    """The keys of a ConfigMap or Secret as bytes; none of nothing."""
    if obj is None:
        return {}
    if kind == "secret":
        return {key: _decode(value) for key, value in (obj.get("data") or {}).items()}
    plain = {key: str(value).encode() for key, value in (obj.get("data") or {}).items()}
    return plain | {key: _decode(value) for key, value in (obj.get("binaryData") or {}).items()}


def references(containers: Iterable[Container]) -> set[tuple[str, str]]:
    """The (kind, name) of every ConfigMap and Secret that environments refer to."""
    found: set[tuple[str, str]] = set()
    for container in containers:
        found |= {(source.kind, source.name) for source in container.env_from}
        found |= {(entry.source.kind, entry.source.name) for entry in container.env if isinstance(entry.source, Ref)}
    return found


def _value(entry: EnvVar, pod: Pod, place: Place, lookup: Lookup, values: Mapping[str, str]) -> str | None:
    if entry.source is None:
        return expand(entry.value, values)
    if isinstance(entry.source, FieldRef):
        return field_value(pod, place, entry.source.path)
    obj = lookup(entry.source.kind, entry.source.name)
    data = data_of(entry.source.kind, obj)
    if entry.source.key in data:
        return data[entry.source.key].decode(errors="replace")
    if entry.source.optional:
        return None
    if obj is None:
        raise MissingError(f'{entry.source.kind} "{entry.source.name}" not found')
    kind = {"configmap": "ConfigMap", "secret": "Secret"}[entry.source.kind]
    raise MissingError(f"couldn't find key {entry.source.key} in {kind} {pod.namespace}/{entry.source.name}")


def _pairs(values: Mapping[str, str] | None) -> str:
    """As the downward API writes a map: one `key="value"` a line, sorted."""
    return "\n".join(f'{key}="{_escaped(value)}"' for key, value in sorted((values or {}).items()))


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _decode(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return b""  # the API server lets nothing else in
