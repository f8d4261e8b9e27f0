"""JSON in lines, for who reads it with his own eyes: asked for by `pretty`, and given to browsers and curl unasked.

Source: apiserver `endpoints/handlers/negotiation`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kubelab.apiserver.request import Request, Response

_READERS: Final = ("curl", "Wget", "Mozilla/5.0")
_TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_ALWAYS: Final = "/version"
_NEVER: Final = ("/openapi/", "/openid/", "/.well-known/")


def show(request: Request, response: Response) -> None:
    """Put an answer into lines if whoever asks wants that."""
    if isinstance(response.body, bytes) and response.header("content-type") == "application/json" and _wanted(request):
        response.body = msgspec.json.format(response.body, indent=2)


def _wanted(request: Request) -> bool:
    if request.path == _ALWAYS:
        return True
    if request.path.startswith(_NEVER):
        return False
    if asked := request.query.get("pretty"):
        return asked in _TRUE
    return request.header("user-agent").startswith(_READERS)
