"""Content negotiation: in which form an answer is wanted, and of which kind a body is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import msgspec
import yaml

from kubelab.apiserver.errors import ApiError
from kubelab.objects import Json

JSON: Final = "application/json"
YAML: Final = "application/yaml"
_WRITABLE: Final = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
_WATCHABLE: Final = f"{_WRITABLE}, application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"
_META_VERSIONS: Final = frozenset({"v1", "v1beta1"})
_META_GROUP: Final = "meta.k8s.io"

View = Literal["object", "table", "partial"]


@dataclass(frozen=True, slots=True)
class Form:
    """How an answer is written: as JSON or YAML, whole, as a table or as metadata only.

    `meta_version` is the version of `meta.k8s.io` for the latter two.
    """

    media: str = JSON
    view: View = "object"
    meta_version: str = "v1"

    def encode(self, value: Json) -> bytes:
        """Write a value."""
        if self.media == YAML:
            text: str = yaml.dump(value, Dumper=_Dumper, default_flow_style=False, width=_NEVER)
            return text.encode()
        return msgspec.json.encode(value) + b"\n"

    def recode(self, body: bytes) -> bytes:
        """Bring JSON text into the form."""
        return body if self.media == JSON else self.encode(msgspec.json.decode(body))


_TEXT: Final = "tag:yaml.org,2002:str"


class _Dumper(yaml.SafeDumper):
    """Writes YAML as the real server does: sorted, and texts that look like something else in double quotes."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        plain = self.resolve(yaml.ScalarNode, text, (True, False)) == _TEXT  # type: ignore[no-untyped-call]  # PyYAML's
        return self.represent_scalar(_TEXT, text, style=None if plain else '"')


_Dumper.add_representer(str, _Dumper.represent_text)
_NEVER: Final = 1 << 30
"""Characters after which lines are broken."""


@dataclass(frozen=True, slots=True)
class Range:
    """One media range of an Accept header."""

    media: str
    parameters: dict[str, str]
    quality: float


def ranges(accept: str) -> list[Range]:
    """The media ranges of an Accept header, best first (RFC 9110 12.5.1); an empty header accepts anything."""
    found = []
    for part in accept.split(",") if accept.strip() else ("*/*",):
        media, *rest = (piece.strip() for piece in part.split(";"))
        parameters = {key.strip(): value.strip() for key, _, value in (piece.partition("=") for piece in rest)}
        try:
            quality = float(parameters.pop("q", "1"))
        except ValueError:
            quality = 0.0
        found.append(Range(media.lower(), parameters, quality))
    return sorted(found, key=lambda one: -one.quality)


def negotiate(accept: str, *, views: bool = True) -> Form:
    """The form of the answer. With `views` false tables and metadata alone can't be had (discovery, reviews).

    Raises:
        ApiError: 406, none of the accepted media types can be written.
    """
    for wanted in ranges(accept):
        media = {JSON: JSON, "application/*": JSON, "*/*": JSON, YAML: YAML}.get(wanted.media)
        if media is None:
            continue
        view = _view(wanted.parameters) if views else "object" if "as" not in wanted.parameters else None
        if view is not None:
            return Form(media, view, wanted.parameters.get("v", "v1"))
    if views and any("as" in wanted.parameters for wanted in ranges(accept)):
        raise ApiError(406, "NotAcceptable", f"only the following media types are accepted: {_WRITABLE}")
    raise ApiError(406, "NotAcceptable", f"406: Not Acceptable\n\nAvailable representations: {_WATCHABLE}", {})


def _view(parameters: dict[str, str]) -> View | None:
    """What `as` asks for; None if there is no such view."""
    wanted = parameters.get("as", "")
    if not wanted:
        return "object"
    if parameters.get("g") != _META_GROUP or parameters.get("v") not in _META_VERSIONS:
        return None
    if wanted == "Table":
        return "table"
    return "partial" if wanted in {"PartialObjectMetadata", "PartialObjectMetadataList"} else None


def media_type(content_type: str) -> str:
    """A Content-Type header without parameters; JSON if there is none."""
    return content_type.partition(";")[0].strip().lower() or JSON


def unsupported_media(accepted: str) -> ApiError:
    """415: the body is in a form nobody here reads."""
    text = f"the body of the request was in an unknown format - accepted media types include: {accepted}"
    return ApiError(415, "UnsupportedMediaType", text)
