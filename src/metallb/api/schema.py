"""Models become OpenAPI: the structural schema of a CustomResourceDefinition, and the definition around it.

Source: apiextensions.k8s.io/v1, "structural schemas".
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import inspect as types

from metallb.api.core import Condition, LabelSelector, LabelSelectorRequirement, Model, ObjectMeta
from metallb.api.v1beta1 import GROUP

JsonSchema = dict[str, Any]

_META = {
    "apiVersion": {
        "description": "Version of this object's schema: `metallb.io/` and the version.",
        "type": "string",
    },
    "kind": {"description": "Kind of the object.", "type": "string"},
    "metadata": {"type": "object"},
}

# meta/v1 types have their published schema, with more rules than our trimmed models keep.
_NAME = (
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"
)
_REQUIREMENT: JsonSchema = {
    "description": "A condition on labels.",
    "type": "object",
    "required": ["key", "operator"],
    "properties": {
        "key": {"description": "Label.", "type": "string"},
        "operator": {"description": "In, NotIn, Exists or DoesNotExist.", "type": "string"},
        "values": {
            "description": "Values to compare with, for In and NotIn.",
            "type": "array",
            "items": {"type": "string"},
            "x-kubernetes-list-type": "atomic",
        },
    },
}
_PUBLISHED: dict[type, JsonSchema] = {
    LabelSelectorRequirement: _REQUIREMENT,
    LabelSelector: {
        "description": "meta/v1 LabelSelector; empty selects everything.",
        "type": "object",
        "x-kubernetes-map-type": "atomic",
        "properties": {
            "matchLabels": {
                "description": "Labels and the values they must have, all of them.",
                "type": "object",
                "additionalProperties": {"type": "string"},
            },
            "matchExpressions": {
                "description": "Conditions that must all hold.",
                "type": "array",
                "items": _REQUIREMENT,
                "x-kubernetes-list-type": "atomic",
            },
        },
    },
    Condition: {
        "description": "One aspect of the state.",
        "type": "object",
        "required": ["lastTransitionTime", "message", "reason", "status", "type"],
        "properties": {
            "lastTransitionTime": {"description": "When status changed last.", "type": "string", "format": "date-time"},
            "message": {"description": "For people.", "type": "string", "maxLength": 32768},
            "observedGeneration": {
                "description": "The generation of the object that this is about.",
                "type": "integer",
                "format": "int64",
                "minimum": 0,
            },
            "reason": {
                "description": "For programs.",
                "type": "string",
                "minLength": 1,
                "maxLength": 1024,
                "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
            },
            "status": {
                "description": "True, False or Unknown.",
                "type": "string",
                "enum": ["True", "False", "Unknown"],
            },
            "type": {"description": "Name of the aspect.", "type": "string", "maxLength": 316, "pattern": _NAME},
        },
    },
}


@dataclass(frozen=True, slots=True)
class Column:
    """A printer column of `kubectl get`."""

    name: str
    type: str
    json_path: str
    priority: int = 0

    def render(self) -> JsonSchema:
        """As in a CustomResourceDefinition."""
        column: JsonSchema = {"name": self.name, "type": self.type, "jsonPath": self.json_path}
        return column | ({"priority": self.priority} if self.priority else {})


@dataclass(frozen=True, slots=True)
class OldVersion:
    """A version of a kind that is never stored.

    Attributes:
        model: the object in this version.
        version: its name.
        warning: what a client that uses it is told.
        served: whether clients may use it. Only where what they read and write is converted.
    """

    model: type[Model]
    version: str
    warning: str
    served: bool
    spec_required: bool = False


@dataclass(frozen=True, slots=True)
class Conversion:
    """Who converts between the versions of a kind: a webhook behind a Service. Its bundle of CAs is not ours to write.

    Attributes:
        service: its name.
        namespace: of the Service.
        path: that is asked.
        reviews: versions of ConversionReview that it understands, the best first.
    """

    service: str
    namespace: str
    path: str
    reviews: tuple[str, ...] = ("v1", "v1beta1")

    def render(self) -> JsonSchema:
        """As in a CustomResourceDefinition."""
        service = {"name": self.service, "namespace": self.namespace, "path": self.path}
        webhook = {"clientConfig": {"service": service}, "conversionReviewVersions": list(self.reviews)}
        return {"strategy": "Webhook", "webhook": webhook}


@dataclass(frozen=True, slots=True)
class Kind:
    """A custom resource: its model, names and columns; `model` and `version` are those that are stored."""

    model: type[Model]
    version: str
    plural: str
    singular: str
    columns: tuple[Column, ...] = ()
    status: bool = True
    spec_required: bool = False
    old: tuple[OldVersion, ...] = ()
    conversion: Conversion | None = None

    @property
    def name(self) -> str:
        """The kind's name."""
        return self.model.__name__


def definition(kind: Kind) -> JsonSchema:
    """The CustomResourceDefinition of a kind, the stored version first."""
    conversion = {"conversion": kind.conversion.render()} if kind.conversion else {}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.singular,
            },
            "scope": "Namespaced",
            **conversion,
            "versions": [_version(kind, kind), *(_version(kind, each) for each in kind.old)],
        },
    }


def _version(kind: Kind, of: Kind | OldVersion) -> JsonSchema:
    version: JsonSchema = {"name": of.version}
    if kind.columns:
        version["additionalPrinterColumns"] = [column.render() for column in kind.columns]
    if isinstance(of, OldVersion):
        version |= {"deprecated": True, "deprecationWarning": of.warning}
    version["schema"] = {"openAPIV3Schema": object_schema(of)}
    version |= {"served": of is kind or (isinstance(of, OldVersion) and of.served), "storage": of is kind}
    return version | ({"subresources": {"status": {}}} if kind.status else {})


def object_schema(of: Kind | OldVersion) -> JsonSchema:
    """The schema of a whole object: its own fields beside apiVersion, kind and metadata."""
    properties = dict(_META)
    for field in msgspec.structs.fields(of.model):
        if field.type is not ObjectMeta:
            properties[field.encode_name] = schema_of(field.type)
    schema: JsonSchema = {"description": _doc(of.model), "type": "object", "properties": properties}
    return schema | ({"required": ["spec"]} if of.spec_required else {})


def schema_of(annotation: Any) -> JsonSchema:
    """The structural schema of one type.

    Raises:
        TypeError: the type has no counterpart in a structural schema.
    """
    return _render(types.type_info(annotation))


def _render(info: types.Type) -> JsonSchema:
    if isinstance(info, types.Metadata):
        return _render_metadata(info)
    if isinstance(info, types.UnionType):
        return _render_union(info)
    if isinstance(info, types.StructType):
        return _PUBLISHED.get(info.cls) or _render_struct(info)
    return _render_collection(info) or _render_scalar(info)


def _render_collection(info: types.Type) -> JsonSchema | None:
    if isinstance(info, types.DictType) and isinstance(info.value_type, types.AnyType):
        return {"type": "object"}
    if isinstance(info, types.DictType):
        return {"type": "object", "additionalProperties": _render(info.value_type)}
    if isinstance(info, types.VarTupleType):
        items: JsonSchema = {"type": "array", "items": _render(info.item_type)}
        return items | ({} if info.min_length is None else {"minItems": info.min_length})
    return None


def _render_scalar(info: types.Type) -> JsonSchema:
    if isinstance(info, types.BoolType):
        return {"type": "boolean"}
    if isinstance(info, types.IntType):
        bounds = {"minimum": info.ge, "maximum": info.le}
        return {"type": "integer", "format": "int64"} | {k: v for k, v in bounds.items() if v is not None}
    if isinstance(info, types.StrType):
        return {"type": "string"} | ({"pattern": info.pattern} if info.pattern else {})
    if isinstance(info, types.LiteralType):
        return {"type": "string", "enum": list(info.values)}
    if isinstance(info, types.AnyType):
        return {}
    raise TypeError(f"no structural schema for {info}")


def _render_metadata(info: types.Metadata) -> JsonSchema:
    inner = _render(info.type)
    extra = dict(info.extra_json_schema or {})
    if "x-kubernetes-int-or-string" in extra:
        inner = {}
    elif extra.get("type") == "integer":
        inner.pop("format", None)
    return inner | extra


def _render_union(info: types.UnionType) -> JsonSchema:
    members = [member for member in info.types if not isinstance(member, types.NoneType)]
    if len(members) == 1:
        return _render(members[0])
    if {type(member) for member in members} == {types.IntType, types.StrType}:
        return {}  # an int-or-string: its annotation says the rest
    raise TypeError(f"no structural schema for the union {info}")


def _render_struct(info: types.StructType) -> JsonSchema:
    schema: JsonSchema = {"description": _doc(info.cls), "type": "object"}
    required = sorted(field.encode_name for field in info.fields if field.required)
    if required:
        schema["required"] = required
    schema["properties"] = {field.encode_name: _render(field.type) for field in info.fields}
    return schema


def _doc(model: type) -> str:
    """The whole docstring as one line."""
    return " ".join(inspect.cleandoc(model.__doc__ or "").split())
