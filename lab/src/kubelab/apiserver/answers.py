"""Answers in all forms: objects, lists, tables, metadata alone, statuses. Stored bytes are joined, not encoded anew."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from kubelab.apiserver import conversion, tables, warning_headers
from kubelab.apiserver.errors import ApiError
from kubelab.apiserver.negotiation import JSON, YAML, Form
from kubelab.apiserver.request import Response
from kubelab.apiserver.resources import ResourceInfo
from kubelab.apiserver.storage import Stored
from kubelab.objects import Json, Object

_ENCODE: Final = msgspec.json.Encoder().encode


def type_prefix(kind: str, api_version: str) -> bytes:
    """How an object's JSON starts."""
    return b'{"kind":' + _ENCODE(kind) + b',"apiVersion":' + _ENCODE(api_version) + b","


def body_of(info: ResourceInfo, stored: Stored) -> bytes:
    """A stored object's JSON in a version, without what `type_prefix` gives."""
    if not conversion.is_renamed(info):
        return stored.body
    return stored.viewed(info.api_version, lambda obj: conversion.from_stored(info, obj))


def object_json(info: ResourceInfo, stored: Stored) -> bytes:
    """A stored object as JSON in a version."""
    return type_prefix(info.kind, info.api_version) + body_of(info, stored)


def partial(obj: Object, meta_version: str = "v1") -> Object:
    """The metadata of an object, as an object of its own."""
    kind = {"kind": "PartialObjectMetadata", "apiVersion": f"meta.k8s.io/{meta_version}"}
    return {**kind, "metadata": obj["metadata"]}


def stored_json(info: ResourceInfo, stored: Stored, form: Form, view: tables.TableView | None) -> bytes:
    """A stored object as JSON in the view that a form asks for."""
    if form.view == "object":
        return object_json(info, stored)
    if form.view == "partial":
        return _ENCODE(partial(stored.obj, form.meta_version))
    assert view is not None
    metadata = {"resourceVersion": stored.obj["metadata"]["resourceVersion"]}
    return table_json(view, [stored], metadata)


def table_json(view: tables.TableView, rows: Iterable[Stored], metadata: Object, *, headers: bool = True) -> bytes:
    """A table as JSON."""
    kind = {"kind": "Table", "apiVersion": f"meta.k8s.io/{view.meta_version}"}
    columns = view.definitions if headers else None
    return _ENCODE(
        {**kind, "metadata": metadata, "columnDefinitions": columns, "rows": [view.row(one) for one in rows]}
    )


def list_json(
    info: ResourceInfo, items: Sequence[Stored], metadata: Object, form: Form, view: tables.TableView | None
) -> bytes:
    """A list as JSON in the view that a form asks for."""
    if form.view == "table":
        assert view is not None
        return table_json(view, items, metadata)
    if form.view == "partial":
        kind = {"kind": "PartialObjectMetadataList", "apiVersion": f"meta.k8s.io/{form.meta_version}"}
        return _ENCODE({**kind, "metadata": metadata, "items": [partial(one.obj, form.meta_version) for one in items]})
    # Items of built-in lists don't repeat the kind; those of custom lists do.
    start = b"{" if info.custom is None else type_prefix(info.kind, info.api_version)
    joined = b",".join([start + body_of(info, one) for one in items])
    head = type_prefix(info.list_kind, info.api_version)
    return head + b'"metadata":' + _ENCODE(metadata) + b',"items":[' + joined + b"]}"


def respond(status: int, body: bytes, form: Form, warnings: Iterable[str] = ()) -> Response:
    """An answer from JSON text."""
    headers = [("Content-Type", form.media), ("Cache-Control", "no-cache, private")]
    headers += warning_headers.headers(warnings)
    return Response(status, headers, form.recode(body))


def respond_value(status: int, value: Json, form: Form, warnings: Iterable[str] = ()) -> Response:
    """An answer from a value."""
    return respond(status, _ENCODE(value), form, warnings)


def failure(error: ApiError, accept: str, warnings: Iterable[str] = ()) -> Response:
    """The answer to a request that failed."""
    media = YAML if accept.strip() == YAML else JSON
    response = respond_value(error.code, error.status(), Form(media), warnings)
    response.headers += list(error.headers.items())
    return response


def text(status: int, body: str) -> Response:
    """A plain text answer."""
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("X-Content-Type-Options", "nosniff")]
    return Response(status, headers, body.encode())
