"""The seam to webhooks: who sends reviews."""

from __future__ import annotations

from typing import Protocol

from kubelab.apiserver.webhooks.failures import of_post
from kubelab.apiserver.webhooks.targets import Target


class Caller(Protocol):
    """Who asks webhooks."""

    async def post(self, target: Target, body: bytes, timeout_s: float) -> bytes:
        """Send a review; the body of the answer.

        Raises:
            CallError: there is none, in time or at all.
        """
        ...


class NoCaller:
    """Reaches nobody: a server without a network."""

    async def post(self, target: Target, body: bytes, timeout_s: float) -> bytes:  # noqa: ARG002  # the protocol's
        """No answer."""
        raise of_post(target.url, "this server calls no webhooks")
