"""Descriptors of a kind's fields, by which a web console makes forms: every one comes from the kind's schema.

Source of the capabilities' names: openshift/console, "OLM descriptors" reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

_TECTONIC: Final = "urn:alm:descriptor:com.tectonic.ui"
_CONDITIONS: Final = "urn:alm:descriptor:io.kubernetes.conditions"
_WHOLE: Final = {
    "nodeAffinity": f"{_TECTONIC}:nodeAffinity",
    "podAffinity": f"{_TECTONIC}:podAffinity",
    "podAntiAffinity": f"{_TECTONIC}:podAntiAffinity",
    "resources": f"{_TECTONIC}:resourceRequirements",
}
"""Fields that a console has a form of its own for: what is in them has no descriptors."""
_SPECIAL: Final = {
    "password": f"{_TECTONIC}:password",
    "passwordSecret.name": "urn:alm:descriptor:io.kubernetes:Secret",
}
_WIDGETS: Final = {"boolean": "booleanSwitch", "integer": "number", "number": "number", "string": "text"}
_WORDS: Final = re.compile(r"IPv\d|V\d|[A-Z]+s?(?![a-z])|[A-Z]?[a-z0-9]+")
_SPELLED: Final = {
    "asn": "ASN",
    "bfd": "BFD",
    "bgp": "BGP",
    "ebgp": "eBGP",
    "frrk8s": "FRR-K8s",
    "ip": "IP",
    "ipv4": "IPv4",
    "ipv6": "IPv6",
    "ips": "IPs",
    "ttl": "TTL",
    "vrf": "VRF",
    "mp": "MP",
    "id": "ID",
}


def spec_descriptors(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """A descriptor for every field of an object's `spec`."""
    return [_descriptor(path, field, _inputs(path, field)) for path, field in fields(schema, "spec")]


def status_descriptors(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """A descriptor for every field of an object's `status`."""
    return [_descriptor(path, field, _shown(path)) for path, field in fields(schema, "status")]


def fields(schema: dict[str, Any], part: str) -> list[tuple[str, dict[str, Any]]]:
    """The fields of `spec` or `status` that have descriptors, each by its path: all that a form may show."""
    return list(_walk(schema["properties"].get(part, {}), ""))


def _walk(schema: dict[str, Any], above: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, field in schema.get("properties", {}).items():
        yield f"{above}{name}", field
        if name not in _WHOLE and not _is_selector(field):
            yield from _walk(field, f"{above}{name}.")


def _is_selector(field: dict[str, Any]) -> bool:
    return "matchLabels" in field.get("properties", {})


def _descriptor(path: str, field: dict[str, Any], capabilities: list[str]) -> dict[str, Any]:
    found = {
        "path": path,
        "displayName": display_name(path.rpartition(".")[2]),
        "description": field.get("description", ""),
    }
    return found | ({"x-descriptors": capabilities} if capabilities else {})


def _inputs(path: str, field: dict[str, Any]) -> list[str]:
    """How a form asks for a field; lists and maps are written as text."""
    name = path.rpartition(".")[2]
    known = _WHOLE.get(name) or _SPECIAL.get(path)
    if known:
        return [known]
    if field.get("enum"):
        return [f"{_TECTONIC}:select:{value}" for value in field["enum"]]
    widget = _WIDGETS.get(field.get("type", ""))
    return [f"{_TECTONIC}:{widget}"] if widget else []


def _shown(path: str) -> list[str]:
    return [_CONDITIONS] if path == "conditions" else []


def display_name(name: str) -> str:
    """A field's name in words: `controllerNodeSelector` becomes `Controller Node Selector`."""
    if name in _SPELLED:
        return _SPELLED[name]
    return " ".join(_SPELLED.get(word.lower(), word[:1].upper() + word[1:]) for word in _WORDS.findall(name))
