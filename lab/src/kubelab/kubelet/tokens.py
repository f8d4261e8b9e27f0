"""Service-account tokens for pods, asked for by TokenRequest and renewed at four fifths of their life.

Source: kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import time
from collections.abc import Callable

from kubelab.apiclient import ApiClient, ApiFailure, Resource
from kubelab.kubelet.environment import MissingError
from kubelab.kubelet.podspec import Pod, Token
from kubelab.objects import Object

SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", True)
_RETRY_S = 1.0
_RENEW_AT = 0.8

_log = logging.getLogger(__name__)


class Tokens:
    """The tokens of all pods of a node, by pod and wish."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._tokens: dict[tuple[str, Token], str] = {}
        self._refusals: dict[tuple[str, Token], str] = {}

    def get(self, pod: Pod, wanted: Token) -> str | None:
        """The token as last got, None before there is one.

        Raises:
            MissingError: the API server refused.
        """
        key = (pod.uid, wanted)
        if key not in self._tokens and key in self._refusals:
            raise MissingError(f"failed to fetch token: {self._refusals[key]}")
        return self._tokens.get(key)

    async def keep(self, pod: Pod, wanted: Token, changed: Callable[[], None]) -> None:
        """Have a valid token at all times until cancelled; `changed` is called for each new one."""
        try:
            while True:
                wait_s = await self._renew(pod, wanted)
                if wait_s is None:
                    changed()
                    await asyncio.sleep(_RETRY_S)
                    continue
                changed()
                await asyncio.sleep(wait_s)
        finally:
            self._tokens.pop((pod.uid, wanted), None)
            self._refusals.pop((pod.uid, wanted), None)

    async def _renew(self, pod: Pod, wanted: Token) -> float | None:
        """Get a token; seconds until the next is due, None if there was none."""
        try:
            answer = await self._client.create_subresource(
                SERVICE_ACCOUNTS, pod.service_account, "token", request_of(pod, wanted), pod.namespace
            )
        except ApiFailure as failure:
            if not failure.unreachable:
                self._refusals[pod.uid, wanted] = failure.message
            level = logging.DEBUG if failure.unreachable else logging.WARNING
            _log.log(level, "token for pod %s: %s", pod.label, failure)
            return None
        status = answer.get("status") or {}
        self._tokens[pod.uid, wanted] = str(status.get("token") or "")
        return max(_RETRY_S, _RENEW_AT * _remaining_s(status, wanted))


def request_of(pod: Pod, wanted: Token) -> Object:
    """The TokenRequest: bound to the pod, so that it ends with it."""
    spec: Object = {
        "expirationSeconds": wanted.expiration_s,
        "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": pod.name, "uid": pod.uid},
    }
    spec["audiences"] = [wanted.audience] if wanted.audience else []
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {}, "spec": spec}


def _remaining_s(status: Object, wanted: Token) -> float:
    try:
        ends = dt.datetime.fromisoformat(str(status["expirationTimestamp"]))
    except (KeyError, ValueError):
        return float(wanted.expiration_s)
    return ends.timestamp() - time.time()
