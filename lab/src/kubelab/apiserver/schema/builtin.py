"""The built-in kinds: their types, and their OpenAPI definitions as they are published.

The data are the JSON schemas that the package `kubernetes-validate` carries for each minor version of Kubernetes.
They were made from the published OpenAPI v2 document; what that making added (null as a type, `oneOf` for values
that Kubernetes writes in two ways, one-value enumerations of apiVersion and kind) is taken back here.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from importlib import util
from pathlib import Path
from typing import Final

import msgspec

from kubelab.apiserver.schema import keywords
from kubelab.apiserver.schema.model import Schema, SchemaType
from kubelab.objects import GroupVersionKind, Object

META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1."
"""Prefix of the definitions all groups share: ObjectMeta, ListMeta, Status ..."""

OBJECT_META: Final = META + "ObjectMeta"
INT_OR_STRING: Final = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
QUANTITY: Final = "io.k8s.apimachinery.pkg.api.resource.Quantity"

_REF: Final = "#/$defs/"
_WRITTEN_TWO_WAYS: Final[Mapping[str, Object]] = {
    INT_OR_STRING: {
        "description": "IntOrString is a type that can hold an int32 or a string.",
        "type": "string",
        "format": "int-or-string",
    },
    QUANTITY: {
        "description": 'A fixed-point number with an optional suffix, such as "1500m", "64Mi" or "2e3".',
        "type": "string",
    },
}
_WITHOUT_FIELDS: Final = {META + "FieldsV1", META + "Patch", "io.k8s.apimachinery.pkg.runtime.RawExtension"}
"""Objects whose fields are known to nobody; every other object without properties is empty."""


@dataclasses.dataclass(slots=True, eq=False)
class Types:
    """The built-in kinds of one minor version of Kubernetes. Types are built when first asked for."""

    version: str
    _raw: Mapping[str, Object] = dataclasses.field(repr=False)
    _names: Mapping[GroupVersionKind, str] = dataclasses.field(repr=False)
    _built: dict[str, Schema] = dataclasses.field(default_factory=dict, repr=False)
    _published: dict[str, Object] = dataclasses.field(default_factory=dict, repr=False)

    @classmethod
    @functools.cache
    def load(cls, version: str = "1.36") -> Types:
        """The types of Kubernetes `version` (major.minor); read once a process.

        Raises:
            LookupError: the installed data do not have that version.
        """
        raw = msgspec.json.decode(_data(f"kubernetes-json-schema/v{version}.0-local/_definitions.json"))["$defs"]
        return cls(version, raw, _names_by_kind(raw))

    def schema(self, gvk: GroupVersionKind) -> Schema | None:
        """The type of a kind; None if this version has no such kind."""
        name = self._names.get(gvk)
        return None if name is None else self.definition(name)

    def definition(self, name: str) -> Schema:
        """The type of an OpenAPI definition.

        Raises:
            KeyError: there is no such definition.
        """
        found = self._built.get(name)
        return self._build(name) if found is None else found

    def definition_name(self, gvk: GroupVersionKind) -> str | None:
        """The OpenAPI definition that describes a kind."""
        return self._names.get(gvk)

    @property
    def kinds(self) -> Mapping[GroupVersionKind, str]:
        """All kinds, each with the name of its OpenAPI definition."""
        return self._names

    @property
    def metadata(self) -> Schema:
        """The type of `metadata`, in every kind."""
        return self.definition(OBJECT_META)

    @property
    def definitions(self) -> Mapping[str, Object]:
        """All definitions as OpenAPI v2 publishes them, by name. Never change one."""
        if not self._published:
            self._published.update((name, _published(name, raw)) for name, raw in self._raw.items())
        return self._published

    def _build(self, name: str) -> Schema:
        raw = self._raw[name]
        properties: dict[str, Schema] = {}
        built = Schema(properties=properties, definition=name)
        self._built[name] = built  # before its parts: types may contain themselves
        _fill(built, _special(name, raw), raw)
        self._parts(built, raw)
        for field, node in raw.get("properties", {}).items():
            properties[field] = self._field(field, node, root="x-kubernetes-group-version-kind" in raw)
        return built

    def _field(self, name: str, node: Object, *, root: bool) -> Schema:
        if root and name in {"apiVersion", "kind"}:
            return Schema(type="string", description=keywords.text(node.get("description")))
        return self._node(node)

    def _node(self, node: Object) -> Schema:
        """The type of a field, an item or a map's value."""
        if "$ref" in node:
            return _described(self.definition(node["$ref"].removeprefix(_REF)), node)
        built = Schema()
        _fill(built, _json_type(node), node)
        self._parts(built, node)
        return built

    def _parts(self, built: Schema, node: Object) -> None:
        if "items" in node:
            built.items = self._node(node["items"])
        if isinstance(node.get("additionalProperties"), dict):
            built.additional = self._node(node["additionalProperties"])


def _data(path: str) -> bytes:
    """A file of the package, found without importing it: the import alone takes longer than all the rest."""
    spec = util.find_spec("kubernetes_validate")
    for folder in (spec and spec.submodule_search_locations) or ():
        try:
            return Path(folder, path).read_bytes()
        except FileNotFoundError:
            continue
    raise LookupError(f"the package kubernetes-validate, with {path}, is not installed")


def _names_by_kind(raw: Mapping[str, Object]) -> dict[GroupVersionKind, str]:
    return {
        GroupVersionKind(kind["group"], kind["version"], kind["kind"]): name
        for name, definition in raw.items()
        for kind in definition.get("x-kubernetes-group-version-kind", ())
    }


def _json_type(node: Object) -> SchemaType:
    """The type of a node once null is taken off: null means absent wherever Kubernetes accepts it."""
    written = node.get("type")
    if isinstance(written, list):
        written = next((one for one in written if one != "null"), None)
    return written or "any"


def _special(name: str, raw: Object) -> SchemaType:
    return {INT_OR_STRING: "int-or-string", QUANTITY: "quantity"}.get(name) or _json_type(raw)  # type: ignore[return-value]  # both are literals of SchemaType


def _fill(built: Schema, kind: SchemaType, node: Object) -> None:
    built.type = kind
    built.format = keywords.text(node.get("format"))
    built.description = keywords.text(node.get("description"))
    built.required = keywords.strings(node.get("required"))
    built.preserve_unknown = kind == "any" or built.definition in _WITHOUT_FIELDS
    for attribute, value in keywords.merging(node).items():
        setattr(built, attribute, value)


def _described(target: Schema, node: Object) -> Schema:
    """A definition in the place where it is used: with the description and merge behaviour of the field."""
    changes = keywords.merging(node)
    if description := keywords.text(node.get("description")):
        changes["description"] = description
    return dataclasses.replace(target, **changes) if changes else target


def _published(name: str, raw: Object) -> Object:
    if name in _WRITTEN_TWO_WAYS:
        return _WRITTEN_TWO_WAYS[name]
    kinds = {kind["kind"] for kind in raw.get("x-kubernetes-group-version-kind", ())}
    node = _openapi(raw)
    if kinds:
        for field in ("apiVersion", "kind"):
            node.get("properties", {}).get(field, {}).pop("enum", None)
    return node


def _openapi(raw: Object) -> Object:
    """A node as OpenAPI writes it: one type, references into `definitions`."""
    node: Object = {}
    for keyword, value in raw.items():
        if keyword == "type":
            node["type"] = _json_type(raw)
        elif keyword == "$ref":
            node["$ref"] = "#/definitions/" + value.removeprefix(_REF)
        elif keyword == "properties":
            node["properties"] = {field: _openapi(part) for field, part in value.items()}
        elif keyword in {"items", "additionalProperties"} and isinstance(value, dict):
            node[keyword] = _openapi(value)
        else:
            node[keyword] = value
    return node
