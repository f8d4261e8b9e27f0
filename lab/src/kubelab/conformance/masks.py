"""What every server chooses itself is taken out of answers before they are compared."""

from __future__ import annotations

import re
from typing import Final

from kubelab.objects import Json

_CHOSEN: Final = frozenset(
    {
        "resourceVersion",
        "uid",
        "continue",
        "nodePort",
        "healthCheckNodePort",
        "hash",
        "token",
        "remainingItemCount",
        "storageVersionHash",
    }
)
"""Fields whose values say nothing; whether they are there does."""
_TEXTS: Final = (
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uid>"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "<time>"),
    (r"(resourceVersion\\*\"?: ?\\*\"?)\d+", r"\1<chosen>"),
    (r"(resource version: |current: |in record \()\d+", r"\1<chosen>"),
    (r"(too old resource version: <chosen> \()\d+", r"\1<chosen>"),
    (r"https://kubernetes\.default\.svc(\.cluster\.local)?", "<issuer>"),
    (r"kube-api-access-[a-z0-9]{5}", "kube-api-access-<chosen>"),
)
_SEVERAL: Final = 2
_AGE: Final = re.compile(r"(\d+[smhdy])+|<unknown>")


class Masks:
    """Those of one case: also its namespace, the server's own address, and addresses of its services."""

    def __init__(self, namespace: str, server: str = "") -> None:
        self._namespace = namespace
        self._server = server
        self._addresses: dict[str, str] = {}

    def applied(self, value: Json) -> Json:
        """The value without what was chosen."""
        self._learn(value)
        return self._applied(value, "")

    def _learn(self, value: Json) -> None:
        """Cluster addresses are the server's choice: the first of a case is `<address 1>`."""
        if isinstance(value, dict):
            for address in (value.get("clusterIP"), *(value.get("clusterIPs") or ())):
                if isinstance(address, str) and address not in {"", "None"}:
                    self._addresses.setdefault(address, f"<address {len(self._addresses) + 1}>")
            for part in value.values():
                self._learn(part)
        elif isinstance(value, list):
            for part in value:
                self._learn(part)

    def _applied(self, value: Json, field: str) -> Json:
        if isinstance(value, dict):
            return self._object(value)
        if isinstance(value, list):
            kept = sorted(value, key=_owner) if field == "managedFields" else value
            return [self._applied(part, field) for part in kept if not _is_foreign(part)]
        if field in _CHOSEN and value:
            return "<chosen>"
        return self._text(value, field) if isinstance(value, str) else value

    def _object(self, value: dict[str, Json]) -> Json:
        made = bool(value.get("generateName"))
        if value.get("kind") == "Status":
            value = _in_order(value)
        return {
            self._text(name, ""): "<chosen>" if made and name == "name" else self._applied(part, name)
            for name, part in value.items()
        }

    def _text(self, text: str, field: str) -> str:
        if field == "cells" and _AGE.fullmatch(text):
            return "<age>"
        text = text.replace(self._namespace, "<namespace>")
        if self._server:
            text = text.replace(self._server, "<server>")
        for address, name in self._addresses.items():
            text = text.replace(address, name)
        for pattern, mask in _TEXTS:
            text = re.sub(pattern, mask, text)
        return text


def _in_order(status: dict[str, Json]) -> dict[str, Json]:
    """Several errors stand in no order: real servers walk through maps."""
    details: Json = status.get("details") or {}
    causes = sorted(details.get("causes") or (), key=str)
    if len(causes) < _SEVERAL:
        return status
    message = str(status.get("message")).partition("[")[0] + "<causes>"
    return {**status, "message": message, "details": {**details, "causes": causes}}


def _owner(entry: Json) -> str:
    """Owners stand in the order of their times, which is chance."""
    parts = ("operation", "manager", "subresource", "apiVersion")
    return " ".join(str(entry.get(part)) for part in parts) if isinstance(entry, dict) else ""


def _is_foreign(item: Json) -> bool:
    """Whether a distribution adds it of its own (a volume source of OpenShift's)."""
    return isinstance(item, dict) and (item.get("configMap") or {}).get("name") == "openshift-service-ca.crt"
