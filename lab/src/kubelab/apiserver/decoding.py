"""From a body to an object: JSON or YAML, of the right kind and type, unknown and repeated fields told."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec
import yaml

from kubelab.apiserver import protobuf
from kubelab.apiserver.builtin import fields
from kubelab.apiserver.errors import ApiError, bad_request, invalid
from kubelab.apiserver.negotiation import JSON, YAML, media_type, unsupported_media
from kubelab.apiserver.request import Request
from kubelab.apiserver.resources import ResourceInfo
from kubelab.apiserver.schema import decode, prune
from kubelab.apiserver.schema.model import Schema
from kubelab.objects import GroupVersionKind, Json, Object

FieldValidation = Literal["Strict", "Warn", "Ignore"]

_ACCEPTED: Final = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
_SHOWN_BYTES: Final = 30
_CUSTOM_ACCEPTED: Final = "application/json, application/yaml"


class _Loader(yaml.CSafeLoader):
    """YAML 1.1 as Kubernetes reads it: `y` and `n` are booleans, timestamps are text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regex) for tag, regex in pairs if tag != "tag:yaml.org,2002:timestamp"]
    for first, pairs in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
for _letter in "yYnN":
    _Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(f"^{_letter}$"), [_letter])
_Loader.bool_values = {**yaml.CSafeLoader.bool_values, "y": True, "n": False}


@dataclass(frozen=True, slots=True)
class Decoded:
    """A body's value, and a sentence for each field that it has more than once."""

    value: Json
    duplicates: list[str]


def parse(request: Request, expected: GroupVersionKind | None = None, *, custom: bool = False) -> Decoded:
    """Read a body by its media type. Protobuf is read of objects of built-in kinds only: `expected` is theirs.

    Raises:
        ApiError: 415 for media types that are not read, 400 for bodies that can't be.
    """
    media = media_type(request.header("content-type"))
    if media in {JSON, "*/*"}:
        return _parse_json(request.body, expected.kind if expected else "")
    if media == YAML:
        return Decoded(parse_yaml(request.body), [])
    if media == protobuf.MEDIA_TYPE and expected is not None and not custom:
        return Decoded(_parse_protobuf(request.body, expected), [])
    raise unsupported_media(_CUSTOM_ACCEPTED if custom else _ACCEPTED)


def _parse_json(body: bytes, kind: str) -> Decoded:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise bad_request(_unreadable(body, kind)) from error
    # What comes out as it came in has no field twice: so it is with most programs, and looking for them takes long.
    alike = msgspec.json.encode(value) == body.rstrip(b"\n")
    return Decoded(value, [] if alike else prune.duplicate_fields(body))


def _parse_protobuf(body: bytes, expected: GroupVersionKind) -> Object:
    try:
        return protobuf.decode(body, expected)
    except protobuf.DecodeError as error:
        if error.claimed is not None:
            raise decode.cannot_be_handled(error.claimed, str(error), expected.kind) from error
        shown = body[:_SHOWN_BYTES].hex() + (" ..." if len(body) > _SHOWN_BYTES else "")
        why = f"(must be of type {expected.kind}): {error} ({shown or '<empty>'})"
        raise bad_request(f"the object provided is unrecognized {why}") from error


def _unreadable(body: bytes, kind: str) -> str:
    text = body.decode("utf-8", "replace")
    why = _json_error(text)
    if not kind:
        return f"error decoding patch: {why}"
    of = f" (must be of type {kind})" if kind else ""
    return f"the object provided is unrecognized{of}: couldn't get version/kind; json parse error: {why} ({text[:60]})"


def _json_error(text: str) -> str:
    """What is wrong with a JSON text, as Go's decoder says it, for the mistakes people make."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        if error.pos >= len(text):
            return "unexpected end of JSON input"
        where = {
            "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
            "Expecting ':' delimiter": "after object key",
            "Expecting ',' delimiter": "after object key:value pair",
        }.get(error.msg, "looking for beginning of value")
        return f"invalid character '{text[error.pos]}' {where}"
    except RecursionError:
        return "exceeded max depth"
    return "invalid JSON"


def parse_yaml(body: bytes) -> Json:
    """Read YAML (JSON included) as Kubernetes does.

    Raises:
        ApiError: 400, it is none.
    """
    try:
        return yaml.load(body, Loader=_Loader)  # noqa: S506  # a safe loader, with other words for true
    except yaml.YAMLError as error:
        raise bad_request(f"error decoding YAML: {error}") from error


def object_of(decoded: Decoded, resource: ResourceInfo, gvk: GroupVersionKind) -> Object:
    """The object in a body, with its kind; the kind may be left out.

    Raises:
        ApiError: 400, it is no object or one of another kind.
    """
    value = decoded.value
    if not isinstance(value, dict):
        found = json.dumps(value, separators=(",", ":"))[:60]
        raise bad_request(
            f"the object provided is unrecognized (must be of type {resource.kind}): couldn't get version/kind; "
            f"json parse error: json: cannot unmarshal into Go value of type struct ({found})"
        )
    said = GroupVersionKind.of(value)
    if resource.custom is not None and (not said.kind or not said.version):
        missing = "apiVersion" if said.kind else "kind"
        raise bad_request(f"Object '{missing.capitalize()}' is missing in '{json.dumps(value)[:200]}'")
    version = said.api_version or gvk.api_version
    kind = said.kind or gvk.kind
    if kind != gvk.kind:
        short = version.rpartition("/")[2]
        why = f"converting ({short}.{kind}) to ({gvk.group.partition('.')[0] or 'core'}.{gvk.kind}): unknown conversion"
        raise bad_request(f'{kind} in version "{short}" cannot be handled as a {gvk.kind}: {why}')
    if version != gvk.api_version:
        raise bad_request(
            f"the API version in the data ({version}) does not match the expected API version ({gvk.api_version})"
        )
    return {"kind": gvk.kind, "apiVersion": gvk.api_version} | {
        name: part for name, part in value.items() if name not in {"kind", "apiVersion"}
    }


def check_types(schema: Schema, obj: Object, resource: ResourceInfo, gvk: GroupVersionKind) -> ApiError | None:
    """400 for values that don't fit their Go types; of custom objects only metadata has some."""
    if resource.custom is not None and gvk == resource.gvk:
        return decode.check_metadata(schema, obj, gvk)
    return decode.check_types(schema, obj, gvk)


def judge_fields(
    schema: Schema, obj: Object, duplicates: list[str], validation: FieldValidation, gvk: GroupVersionKind
) -> tuple[Object, list[str]]:
    """The object without unknown fields, and warnings about them and about repeated ones.

    Raises:
        ApiError: 400, there are some and the request is strict.
    """
    pruned, unknown = prune.prune(schema, obj)
    found = [*duplicates, *unknown]
    if found and validation == "Strict":
        raise decode.strict_decoding(gvk, found)
    return pruned, found if validation == "Warn" else []


def field_validation(request: Request) -> FieldValidation:
    """What `fieldValidation` asks for; `dryRun` is checked with it.

    Raises:
        ApiError: 422, it asks for something else.
    """
    asked: Any = request.query.get("fieldValidation") or "Warn"
    stages = request.query.all("dryRun")
    errors = [] if set(stages) <= {"All"} else [fields.unsupported("dryRun", stages, ["All"])]
    if asked not in {"Strict", "Warn", "Ignore"}:
        errors.append(fields.unsupported("fieldValidation", asked, ("", "Ignore", "Strict", "Warn")))
    if errors:
        kind = {"POST": "CreateOptions", "PUT": "UpdateOptions"}.get(request.method, "PatchOptions")
        raise invalid("meta.k8s.io", kind, "", errors)
    found: FieldValidation = asked
    return found
