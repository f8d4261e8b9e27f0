"""Label and field selectors as they stand in a request's address, as predicates on objects.

Syntax: apimachinery `labels.Parse` and `fields.ParseSelector`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from kubelab.apiserver.errors import bad_request
from kubelab.objects import GroupResource, Json, Object

Operator = Literal["in", "notin", "exists", "absent", ">", "<"]

_SET: Final = re.compile(r"(?P<key>[^\s!=<>,()]+)\s+(?P<op>in|notin)\s*\((?P<values>[^()]*)\)")
_COMPARED: Final = re.compile(r"(?P<key>[^\s!=<>,()]+)\s*(?P<op>==|!=|=|>|<)\s*(?P<value>[^\s!=<>,()]*)")
_NAMED: Final = re.compile(r"(?P<not>!?)\s*(?P<key>[^\s!=<>,()]+)")
_COMMA: Final = re.compile(r"\s*(,|$)\s*")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on a label; all of a selector's must hold."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether it is fulfilled."""
        value = labels.get(self.key)
        if self.operator == "exists":
            return value is not None
        if self.operator == "absent":
            return value is None
        if self.operator == "notin":
            return value is None or value not in self.values
        if value is None:
            return False
        return value in self.values if self.operator == "in" else self._compares(value)

    def _compares(self, value: str) -> bool:
        (bound,) = self.values
        try:
            return int(value) > int(bound) if self.operator == ">" else int(value) < int(bound)
        except ValueError:
            return False


LabelSelector: TypeAlias = tuple[Requirement, ...]


def parse_labels(text: str) -> LabelSelector:
    """A label selector; empty text selects everything.

    Raises:
        ApiError: 400, it is none.
    """
    found: list[Requirement] = []
    at = _skip(text, 0)
    while at < len(text):
        requirement, at = _requirement(text, at)
        found.append(requirement)
        comma = _COMMA.match(text, at)
        if comma is None:
            raise bad_request(f"found '{text[at]}', expected: ',' or 'end of string'")
        at = comma.end()
    return tuple(found)


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _requirement(text: str, at: int) -> tuple[Requirement, int]:
    if match := _SET.match(text, at):
        values = frozenset(value.strip() for value in match["values"].split(","))
        return Requirement(match["key"], "in" if match["op"] == "in" else "notin", values), match.end()
    if match := _COMPARED.match(text, at):
        operators: dict[str, Operator] = {"=": "in", "==": "in", "!=": "notin", ">": ">", "<": "<"}
        return Requirement(match["key"], operators[match["op"]], frozenset({match["value"]})), match.end()
    if match := _NAMED.match(text, at):
        return Requirement(match["key"], "absent" if match["not"] else "exists"), match.end()
    raise bad_request(f"found '{text[at]}', expected: !, identifier, or 'end of string'")


FieldSelector: TypeAlias = tuple[tuple[tuple[str, ...], str, bool], ...]
"""Path, value, and whether it must be equal (else: must differ)."""

_METADATA: Final = frozenset({"metadata.name", "metadata.namespace"})
_SELECTABLE: Final[Mapping[GroupResource, frozenset[str]]] = {
    GroupResource("", "pods"): frozenset(
        {
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        }
    ),
    GroupResource("", "nodes"): frozenset({"spec.unschedulable"}),
    GroupResource("", "namespaces"): frozenset({"status.phase"}),
    GroupResource("", "secrets"): frozenset({"type"}),
    GroupResource("", "services"): frozenset({"spec.clusterIP", "spec.type"}),
    GroupResource("", "events"): frozenset(
        {
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        }
    ),
    GroupResource("events.k8s.io", "events"): frozenset(
        {
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "regarding.apiVersion",
            "regarding.resourceVersion",
            "regarding.fieldPath",
            "reason",
            "reportingController",
            "type",
        }
    ),
    GroupResource("apps", "replicasets"): frozenset({"status.replicas"}),
    GroupResource("batch", "jobs"): frozenset({"status.successful"}),
    GroupResource("certificates.k8s.io", "certificatesigningrequests"): frozenset({"spec.signerName"}),
}


def parse_fields(text: str, resource: GroupResource, custom: Sequence[str] | None = None) -> FieldSelector:
    """A field selector on the fields that a resource can be selected by; `custom` are those of a custom one.

    Raises:
        ApiError: 400, it is none or the field is not selectable.
    """
    special = _SELECTABLE.get(resource, frozenset()) | {path.lstrip(".") for path in custom or ()}
    allowed = _METADATA | special
    found = []
    for part in filter(None, text.split(",")):
        match = re.fullmatch(r"([^=!]+)(==|!=|=)(.*)", part)
        if match is None:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
        path, operator, value = match.groups()
        if path not in allowed:
            if special or custom is not None:
                raise bad_request(f"field label not supported: {path}")
            known = '"metadata.name", "metadata.namespace"'
            raise bad_request(f'"{path}" is not a known field selector: only {known}')
        found.append((tuple(path.split(".")), value.replace("\\,", ",").replace("\\=", "="), operator != "!="))
    return tuple(found)


def fields_match(selector: FieldSelector, obj: Object) -> bool:
    """Whether an object has the values asked for; an absent field is the empty text."""
    return all((_text(_value(obj, path)) == value) == equal for path, value, equal in selector)


def _value(obj: Json, path: tuple[str, ...]) -> Json:
    for name in path:
        obj = obj.get(name) if isinstance(obj, dict) else None
    return obj


def _text(value: Json) -> str:
    if isinstance(value, dict):  # core events: `source` is selected by its component
        return str(value.get("component", ""))
    return {None: "", True: "true", False: "false"}.get(value, str(value)) if not isinstance(value, list) else ""


def labels_match(selector: LabelSelector, obj: Object) -> bool:
    """Whether an object's labels fulfil all requirements."""
    if not selector:
        return True
    labels = obj["metadata"].get("labels") or {}
    return all(requirement.holds(labels) for requirement in selector)
