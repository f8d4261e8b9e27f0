"""The OpenAPI documents of one server, made when first asked for and again when what is served changes."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable

import msgspec

from kubelab.apiserver import answers
from kubelab.apiserver.crd import CRDS, is_established
from kubelab.apiserver.negotiation import JSON, ranges
from kubelab.apiserver.request import Request, Response
from kubelab.apiserver.schema import openapi_proto, openapi_v2, openapi_v3
from kubelab.apiserver.state import State
from kubelab.objects import Object


class Documents:
    """Caches documents under the registry's generation."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._encoder = openapi_proto.Encoder()
        self._generation = -1
        self._made: dict[str, bytes | None] = {}
        self._packed: dict[str, bytes] = {}
        """Compressed documents by ETag."""

    def v2(self, request: Request) -> Response:
        """`/openapi/v2` as protobuf or JSON."""
        self._refresh()
        wanted = {one.media for one in ranges(request.header("accept"))}
        if wanted & {media.lower() for media in openapi_proto.ACCEPTED}:
            return self._answer(request, openapi_proto.MEDIA_TYPE, self._once("v2.pb", self._v2_protobuf))
        return self._answer(request, JSON, self._once("v2", self._v2_json))

    def v3(self, request: Request, path: str) -> Response:
        """`/openapi/v3` and what is below."""
        self._refresh()
        if not path:
            body = self._once("v3", self._v3_index)
            response = self._answer(request, "text/plain; charset=utf-8", body)
        else:
            body = self._once(f"v3/{path}", lambda: self._v3_group(path))
            response = self._answer(request, JSON, body)
        return response

    def _refresh(self) -> None:
        if self._generation != self._state.registry.generation:
            self._generation = self._state.registry.generation
            self._made.clear()
            self._packed.clear()

    def _once(self, name: str, make: Callable[[], bytes | None]) -> bytes | None:
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    def _answer(self, request: Request, media: str, body: bytes | None) -> Response:
        if body is None:
            return answers.text(404, "404 page not found\n")
        tag = f'"{hashlib.sha256(body).hexdigest().upper()}"'
        headers = [("Content-Type", media), ("ETag", tag), ("Vary", "Accept-Encoding"), ("Vary", "Accept")]
        if request.header("if-none-match") == tag:
            return Response(304, headers)
        if "gzip" in request.header("accept-encoding"):
            headers.append(("Content-Encoding", "gzip"))
            body = self._packed.setdefault(tag, b"") or gzip.compress(body, 1)
            self._packed[tag] = body
        return Response(200, headers, body)

    def _crds(self) -> list[Object]:
        return [one for one in self._state.storage.list(CRDS) if is_established(one)]

    def _v2_document(self) -> Object:
        return openapi_v2.document(self._state.types, self._crds(), list(self._state.registry))

    def _v2_json(self) -> bytes:
        return msgspec.json.encode(self._v2_document())

    def _v2_protobuf(self) -> bytes:
        return self._encoder.encode(self._v2_document())

    def _v3_index(self) -> bytes:
        return msgspec.json.encode(openapi_v3.index(self._state.types, self._crds(), list(self._state.registry)))

    def _v3_group(self, path: str) -> bytes | None:
        document = openapi_v3.group_document(self._state.types, self._crds(), list(self._state.registry), path)
        return None if document is None else msgspec.json.encode(document)
