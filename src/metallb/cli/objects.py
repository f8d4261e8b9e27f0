"""One object of a manifest: judged by its schema, and read into the model that the configuration is made of."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Final, Literal

import msgspec

from metallb.api import conversion, v1beta1, v1beta2
from metallb.api.check import Broken, check, prune
from metallb.api.core import Model, Namespace, Node, Secret, Service
from metallb.api.kinds import BGP_PEER, KINDS
from metallb.api.metadata import check_metadata, prune_metadata
from metallb.api.rules import ABSENT
from metallb.api.schema import JsonSchema, Kind, OldVersion, object_schema
from metallb.cli.documents import Document
from metallb.cli.findings import Finding, finding
from metallb.config.change import FIELDS
from metallb.config.errors import ObjectName

Object = dict[str, Any]

_GROUP: Final = f"{v1beta1.GROUP}/"
_SURROUNDINGS: Final[Mapping[str, type[Model]]] = {
    "Namespace": Namespace,
    "Node": Node,
    "Secret": Secret,
    "Service": Service,
}
"""Kinds of the core group that say something about the configuration."""
_CLUSTER_WIDE: Final = frozenset({"Namespace", "Node"})


@dataclass(frozen=True, slots=True)
class Version:
    """A kind in one of its versions."""

    of: Kind | OldVersion
    schema: JsonSchema

    @classmethod
    def make(cls, of: Kind | OldVersion) -> Version:
        """Metadata is judged by itself."""
        schema = object_schema(of)
        metadata = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        return cls(of, schema | {"properties": schema["properties"] | {"metadata": metadata}})


@cache
def _versions() -> Mapping[tuple[str, str], Version]:
    """By apiVersion and kind."""
    found = {}
    for kind in KINDS:
        found[_GROUP + kind.version, kind.name] = Version.make(kind)
        for old in kind.old:
            found[_GROUP + old.version, kind.name] = Version.make(old)
    return found


@dataclass(frozen=True, slots=True)
class Written:
    """An object and what was found about it alone.

    Attributes:
        document: where it is written.
        name: None: it has none that can be used.
        resource: of the model of its stored version; None: it can't be read, or says nothing about the configuration.
        findings: about this object.
        role: judged, or an object of Kubernetes that surrounds the configuration, or none that concerns us.
    """

    document: Document
    name: ObjectName | None = None
    resource: Any = None
    findings: tuple[Finding, ...] = field(default=())
    role: Literal["judged", "surrounding", "ignored"] = "judged"


class Reader:
    """Reads objects; knows the schemas and MetalLB's namespace."""

    def __init__(self, namespace: str, present: Mapping[ObjectName, Model] | None = None) -> None:
        """Objects without a namespace are of `namespace`; `present` are those of the cluster, by name."""
        self._namespace = namespace
        self._present = present or {}
        self._versions = _versions()

    def read(self, document: Document) -> Written:
        """One object."""
        value = document.value
        if not isinstance(value, dict) or not _texts(value, "apiVersion", "kind"):
            rule = "this is no object of Kubernetes: it has no apiVersion and kind"
            return Written(document, findings=(finding("error", rule, document=document),))
        api_version, kind = value["apiVersion"], value["kind"]
        if api_version.startswith(_GROUP):
            return self._read_custom(document, api_version, kind)
        if api_version == "v1" and kind in _SURROUNDINGS:
            return self._read_core(document, kind)
        return Written(document, role="ignored")

    def _read_custom(self, document: Document, api_version: str, kind: str) -> Written:
        about = _About(document, self._name_of(document.value, kind))
        version = self._versions.get((api_version, kind))
        if version is None:
            served = sorted(each for each, of in self._versions if of == kind)
            hint = f"write {served[-1]}" if served else ""
            about.add("error", f"has no kind {kind}", "apiVersion", api_version, hint)
            return about.written()
        pruned = prune(version.schema, document.value)
        about.take(check_metadata(document.value.get("metadata")))
        about.take([*pruned.unknown, *check(version.schema, pruned.value, self._old(about.name))])
        about.repeated()
        self._check_place(about, kind)
        if about.name is None:
            return about.written()
        metadata = prune_metadata(document.value["metadata"]) | {"namespace": about.name.namespace}
        resource = _read(about, version, pruned.value | {"metadata": metadata})
        return replace(about.written(), resource=resource)

    def _check_place(self, about: _About, kind: str) -> None:
        name = about.name
        if name is None or kind not in FIELDS or name.namespace == self._namespace:
            return
        rule = f"is not MetalLB's namespace, which is {self._namespace}: it would have no effect"
        hint = "change it, or name MetalLB's namespace by --namespace"
        about.add("error", rule, "metadata.namespace", name.namespace, hint)

    def _old(self, name: ObjectName | None) -> Any:
        present = self._present.get(name) if name else None
        return ABSENT if present is None else msgspec.to_builtins(present)

    def _read_core(self, document: Document, kind: str) -> Written:
        about = _About(document, self._name_of(document.value, kind))
        resource = None
        if about.name is None:
            about.add("warning", f"{kind} without a name, which is left out")
        else:
            value = _without_nulls(document.value)
            value["metadata"]["namespace"] = about.name.namespace
            try:
                resource = msgspec.convert(_as_stored(value) if kind == "Secret" else value, _SURROUNDINGS[kind])
            except msgspec.ValidationError as error:
                about.add("warning", f"can't be read, and is left out: {error}")
        return replace(about.written(), resource=resource, role="surrounding")

    def _name_of(self, value: Object, kind: str) -> ObjectName | None:
        metadata = value.get("metadata")
        if not isinstance(metadata, dict) or not _texts(metadata, "name"):
            return None
        namespace = metadata.get("namespace")
        place = namespace if isinstance(namespace, str) and namespace else self._namespace
        return ObjectName(kind, "" if kind in _CLUSTER_WIDE else place, metadata["name"])


@dataclass(slots=True)
class _About:
    """Collects findings about one object."""

    document: Document
    name: ObjectName | None
    findings: list[Finding] = field(default_factory=list)

    def add(self, severity: Any, rule: str, path: str = "", value: str = "", hint: str = "") -> None:
        self.findings.append(
            finding(severity, rule, document=self.document, object_name=self.name, field=path, value=value, hint=hint)
        )

    def take(self, broken: list[Broken]) -> None:
        for each in broken:
            self.add("error", each.rule, each.path, each.value, each.hint)

    def repeated(self) -> None:
        for path in self.document.repeated:
            shown = "".join(
                f"[{step}]" if isinstance(step, int) else f".{step}" for step in path[len(self.document.root) :]
            )
            self.add("error", "stands twice: the last one would count", shown.lstrip("."), hint="remove one")

    def written(self) -> Written:
        return Written(self.document, self.name, findings=tuple(self.findings))


def _read(about: _About, version: Version, whole: Object) -> Any:
    """The object as the model of its stored version; None: it does not fit, which was told."""
    try:
        if not isinstance(version.of, OldVersion):
            return msgspec.convert(whole, version.of.model)
        about.add("warning", version.of.warning, "apiVersion")
        converted = conversion.convert(whole, v1beta2.API_VERSION)
        stored = _versions()[v1beta2.API_VERSION, BGP_PEER.name]
        return msgspec.convert(prune(stored.schema, converted).value, BGP_PEER.model)
    except conversion.ConversionError as error:
        about.add("error", f"can't be converted: {error}")
    except msgspec.ValidationError as error:
        if not any(each.severity == "error" for each in about.findings):
            about.add("error", f"can't be read: {error}")
    return None


def _texts(value: Object, *names: str) -> bool:
    return all(isinstance(value.get(name), str) and value[name] for name in names)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _as_stored(secret: Object) -> Object:
    """What the API server makes of a Secret's `stringData` and of an absent type."""
    plain = secret.get("stringData")
    texts = plain if isinstance(plain, dict) else {}
    encoded = {name: base64.b64encode(str(text).encode()).decode() for name, text in texts.items()}
    data = secret.get("data")
    return {"type": "Opaque"} | secret | {"data": (data if isinstance(data, dict) else {}) | encoded}
