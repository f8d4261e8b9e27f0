"""The OpenAPI definitions of custom kinds, as kube-apiserver publishes them (apiextensions `openapi/builder`)."""

from __future__ import annotations

from typing import Any, Final

from kubelab.apiserver.schema import keywords
from kubelab.apiserver.schema.builtin import META, OBJECT_META, Types
from kubelab.apiserver.schema.dialects import Dialect
from kubelab.objects import GroupVersionKind, Object

_CONVENTIONS: Final = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"
_PRESERVE: Final = "x-kubernetes-preserve-unknown-fields"
_JUNCTORS: Final = ("allOf", "oneOf", "anyOf", "not")
_LEFT_OUT: Final = ("$schema", "id", "definitions", "dependencies", "patternProperties", "additionalItems")
_TWO_TYPES: Final = ({"type": "integer"}, {"type": "string"})


def definition_name(kind: GroupVersionKind) -> str:
    """The name of a custom kind's definition: the group turned round, `io.metallb.v1beta1.MetalLB`."""
    return ".".join([*reversed(kind.group.split(".")), kind.version, kind.kind])


def kinds_of(crd: Object) -> list[tuple[GroupVersionKind, GroupVersionKind, Object]]:
    """Kind, kind of lists and schema of each version that a CustomResourceDefinition serves."""
    spec = crd["spec"]
    group, names = spec["group"], spec["names"]
    lists = names.get("listKind") or names["kind"] + "List"
    return [
        (
            GroupVersionKind(group, version["name"], names["kind"]),
            GroupVersionKind(group, version["name"], lists),
            keywords.node(keywords.node(version.get("schema")).get("openAPIV3Schema")),
        )
        for version in spec["versions"]
        if version.get("served")
    ]


def definitions_of(crd: Object, types: Types, dialect: Dialect) -> dict[str, Object]:
    """The definitions of all served versions, by name: the kind and the list of it."""
    found: dict[str, Object] = {}
    for kind, list_kind, schema in kinds_of(crd):
        found[definition_name(kind)] = _object(kind, schema, types, dialect)
        found[definition_name(list_kind)] = _list(kind, list_kind, crd["spec"]["names"]["plural"], types, dialect)
    return found


def _object(kind: GroupVersionKind, schema: Object, types: Types, dialect: Dialect) -> Object:
    opaque = not schema or (dialect.v2 and schema.get(_PRESERVE))
    node: Object = {"type": "object"} if opaque else _node(schema, types, dialect)
    if not opaque:
        node["properties"] = _ordered(node.get("properties", {}) | _object_fields(types, dialect))
    return node | _kind(kind)


def _list(kind: GroupVersionKind, list_kind: GroupVersionKind, plural: str, types: Types, dialect: Dialect) -> Object:
    items: Object = {
        "description": f"List of {plural}. More info: {_CONVENTIONS}",
        "type": "array",
        "items": dialect.reference(definition_name(kind)),
    }
    metadata = dialect.reference(META + "ListMeta", f"Standard list metadata. More info: {_CONVENTIONS}#types-kinds")
    return {
        "description": f"{list_kind.kind} is a list of {kind.kind}",
        "type": "object",
        "required": ["items"],
        "properties": _ordered(_type_meta(types) | {"items": items, "metadata": metadata}),
    } | _kind(list_kind)


def _kind(kind: GroupVersionKind) -> Object:
    return {"x-kubernetes-group-version-kind": [{"group": kind.group, "kind": kind.kind, "version": kind.version}]}


def _type_meta(types: Types) -> dict[str, Object]:
    """`apiVersion` and `kind` as every built-in kind describes them."""
    properties = types.definitions[META + "APIResourceList"]["properties"]
    return {name: properties[name] for name in ("apiVersion", "kind")}


def _object_fields(types: Types, dialect: Dialect) -> dict[str, Object]:
    description = f"Standard object's metadata. More info: {_CONVENTIONS}#metadata"
    return _type_meta(types) | {"metadata": dialect.reference(OBJECT_META, description)}


def _node(schema: Object, types: Types, dialect: Dialect) -> Object:
    """A node as the document has it; v2 says less, because its readers break on what they do not understand."""
    node = {name: value for name, value in schema.items() if name not in _LEFT_OUT}
    if node.get("x-kubernetes-int-or-string") and not dialect.v2:
        node.setdefault("anyOf", list(_TWO_TYPES))
    if dialect.v2:
        _reduce(node)
    if isinstance(node.get("properties"), dict):
        node["properties"] = {
            name: _node(keywords.node(part), types, dialect) for name, part in node["properties"].items()
        }
    for keyword in ("items", "additionalProperties"):
        if isinstance(node.get(keyword), dict):
            node[keyword] = _node(node[keyword], types, dialect)
    if node.get("x-kubernetes-embedded-resource") and not (dialect.v2 and node.get(_PRESERVE)):
        node["properties"] = _ordered(node.get("properties", {}) | _object_fields(types, dialect))
        required = list(keywords.strings(node.get("required")))
        node["required"] = required + [name for name in ("kind", "apiVersion") if name not in required]
    return node


def _reduce(node: dict[str, Any]) -> None:
    for keyword in _JUNCTORS:
        node.pop(keyword, None)
    nullable = node.pop("nullable", False)
    if nullable or node.get(_PRESERVE):
        node.pop("items", None)
        node.pop("properties", None)
    untyped = nullable or (node.get(_PRESERVE) and node.get("type") == "object")
    if untyped or (node.get("type") == "array" and "items" not in node):
        node.pop("type", None)
    _require_less(node)


def _require_less(node: dict[str, Any]) -> None:
    """What may be null can't be required in a dialect without null."""
    properties = keywords.node(node.get("properties"))
    required = [name for name in keywords.strings(node.get("required")) if not _nullable(properties.get(name))]
    if _nullable(node.get("additionalProperties")) or not required:
        node.pop("required", None)
    else:
        node["required"] = required


def _nullable(schema: Any) -> bool:
    return keywords.node(schema).get("nullable") is True


def _ordered(properties: dict[str, Object]) -> dict[str, Object]:
    return dict(sorted(properties.items()))
