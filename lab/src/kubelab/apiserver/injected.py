"""Answers that the API server gives on purpose instead of the right ones: refusals, silence, watches that go quiet.

Whoever may do everything sets them: `PUT /debug/faults` replaces the one in force (null ends it), `GET` shows it.
Requests below `/debug/` are never harmed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Literal

import msgspec

from kubelab.apiserver.errors import ApiError
from kubelab.apiserver.request import RequestInfo

PATH: Final = "/debug/faults"
UNHARMED: Final = "/debug/"
_SHARE_STEPS: Final = 1_000_000
_REASONS: Final = {
    429: ("TooManyRequests", "the server has received too many requests and has asked us to try again later"),
    500: ("InternalError", "Internal error occurred: a fault of the lab"),
    503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
    504: ("Timeout", "the server was unable to return a response in the time allotted, but may still be processing it"),
}

Answer = Literal["429", "500", "503", "504", "silence", "quiet-watches"]


class Injected(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A fault of the API server.

    Attributes:
        answer: an HTTP status to answer with; `silence`: no answer, until the fault ends; `quiet-watches`: watches stay
            open and say nothing.
        share: 0 to 1, of the requests that it is about; each is drawn for itself.
        user: only requests of users whose name starts like this.
        verbs: only these verbs of the API, such as `update`; all if empty.
        resources: only these, such as `services/status`; all, and requests about no resource, if empty.
        retry_after_s: what 429 and 503 tell clients to wait.
    """

    answer: Answer
    share: float = 1.0
    user: str = ""
    verbs: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    retry_after_s: int = msgspec.field(default=1, name="retryAfterSeconds")

    def __post_init__(self) -> None:
        """Raises ValueError for a share or a wait that can't be."""
        if not 0 < self.share <= 1:
            raise ValueError(f"share {self.share}: must be above 0 and at most 1")
        if self.retry_after_s < 0:
            raise ValueError(f"retryAfterSeconds {self.retry_after_s}: must not be negative")

    def is_about(self, user: str, info: RequestInfo) -> bool:
        """Whether it is about a request."""
        if not user.startswith(self.user) or info.path.startswith(UNHARMED):
            return False
        resource = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
        return (not self.verbs or info.verb in self.verbs) and (not self.resources or resource in self.resources)

    def error(self) -> ApiError:
        """The answer that stands for the status."""
        code = int(self.answer)
        reason, message = _REASONS[code]
        details = {"retryAfterSeconds": self.retry_after_s} if code in {429, 503} else {}
        headers = {"Retry-After": str(self.retry_after_s)} if details else {}
        return ApiError(code, reason, message, details, headers)


class Faults:
    """The fault in force, if any, and how often watches were closed."""

    def __init__(self, draw: Callable[[int], int]) -> None:
        """`draw(n)` gives a number below n."""
        self.closings = 0
        """A watch that began before the last one ends."""
        self._draw = draw
        self._injected: Injected | None = None
        self._ended = asyncio.Event()

    @property
    def injected(self) -> Injected | None:
        """The fault in force."""
        return self._injected

    def put(self, injected: Injected | None) -> None:
        """Replace the fault in force; who waited for its end goes on."""
        self._injected = injected
        ended, self._ended = self._ended, asyncio.Event()
        ended.set()

    async def meet(self, user: str, info: RequestInfo) -> None:
        """Let a request through, now or once the fault has ended.

        Raises:
            ApiError: it is refused instead.
        """
        found = self._injected
        if found is None or found.answer == "quiet-watches" or not self._hits(found, user, info):
            return
        if found.answer != "silence":
            raise found.error()
        while (found := self._injected) is not None and found.answer == "silence":
            await self._ended.wait()

    async def speak(self, user: str, info: RequestInfo) -> None:
        """Let a watch tell what it has to tell, now or once the fault has ended."""
        while (found := self._injected) is not None and found.answer == "quiet-watches" and found.is_about(user, info):
            await self._ended.wait()

    def _hits(self, found: Injected, user: str, info: RequestInfo) -> bool:
        return found.is_about(user, info) and self._draw(_SHARE_STEPS) < found.share * _SHARE_STEPS


def decode(body: bytes) -> Injected | None:
    """The fault that a request wants in force.

    Raises:
        ApiError: 400, it is none.
    """
    try:
        return msgspec.json.decode(body, type=Injected | None)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ApiError(400, "BadRequest", f"a fault of the API: {error}") from error
