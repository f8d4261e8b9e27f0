"""Why a webhook could not be asked, or gave no answer, in the words of Go's libraries that kube-apiserver uses."""

from __future__ import annotations

import errno
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kubelab.apiserver.builtin.fields import entries


@dataclass(frozen=True, slots=True)
class CallError(Exception):
    """No answer was had. `reason` is the sentence that says why; `is_bundle`: it was not even asked, for its bundle."""

    reason: str
    is_bundle: bool = False

    def __str__(self) -> str:
        """The sentence."""
        return self.reason


def of_post(url: str, reason: str) -> CallError:
    """A request that got no answer."""
    return CallError(f'Post "{url}": {reason}')


TIMEOUT: Final = "context deadline exceeded"
_ERRNO: Final = {
    errno.ECONNREFUSED: "connect: connection refused",
    errno.EHOSTUNREACH: "connect: no route to host",
    errno.ENETUNREACH: "connect: network is unreachable",
    errno.ETIMEDOUT: "connect: connection timed out",
    errno.ECONNRESET: "read: connection reset by peer",
    errno.EPIPE: "write: broken pipe",
}
_SELF_SIGNED: Final = 18
_SELF_SIGNED_IN_CHAIN: Final = 19
_NO_ISSUER: Final = 20
_NO_LEAF_ISSUER: Final = 21
_EXPIRED: Final = 10
_TOO_EARLY: Final = 9
_OTHER_NAME: Final = 62
_OTHER_ADDRESS: Final = 64
_UNKNOWN: Final = frozenset({_SELF_SIGNED, _SELF_SIGNED_IN_CHAIN, _NO_ISSUER, _NO_LEAF_ISSUER})


def of_dial(error: OSError, host: str, port: int) -> str:
    """Why no connection came about."""
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return f"dial tcp {where}: {_ERRNO.get(error.errno or 0, error.strerror or str(error))}"


def of_connection(error: OSError) -> str:
    """Why a connection broke."""
    return _ERRNO.get(error.errno or 0, "EOF")


def of_certificate(error: ssl.SSLCertVerificationError, server_name: str) -> str:
    """Why a certificate was not accepted."""
    code = error.verify_code
    if code in _UNKNOWN:
        why = "certificate signed by unknown authority"
    elif code in {_EXPIRED, _TOO_EARLY}:
        why = "certificate has expired or is not yet valid"
    elif code in {_OTHER_NAME, _OTHER_ADDRESS}:
        why = f"certificate is not valid for {server_name}"
    else:
        why = error.verify_message
    return f"tls: failed to verify certificate: x509: {why}"


_SUCCESS: Final = range(200, 207)
_BY_STATUS: Final[Mapping[int, str]] = {
    400: "the server rejected our request for an unknown reason",
    401: "the server has asked for the client to provide credentials",
    404: "the server could not find the requested resource",
    405: "the server does not allow this method on the requested resource",
    409: "the server reported a conflict",
    422: "the server rejected our request due to an error in our request",
    429: "the server has received too many requests and has asked us to try again later",
    503: "the server is currently unable to handle the request",
    504: "the server was unable to return a response in the time allotted, but may still be processing the request",
}
_SAYS_ITSELF: Final = frozenset({403, 406, 413, 415})
_SERVER: Final = 500


def of_answer(status: int, media: str, body: bytes) -> CallError | None:
    """Why an HTTP answer is none; None, it is one."""
    if status in _SUCCESS:
        return None if body else CallError(f"0-length response with status code: {status} and content type: {media}")
    if (told := _status_message(body)) is not None:
        return CallError(told)
    said = body.decode("utf-8", "replace").strip() if not media or media.startswith("text/") else "unknown"
    if status in _BY_STATUS:
        return CallError(_BY_STATUS[status])
    if status in _SAYS_ITSELF:
        return CallError(said)
    if status >= _SERVER:
        return CallError(f"an error on the server ({_quoted(said)}) has prevented the request from succeeding")
    return CallError(f"the server responded with the status code {status} but did not return more information")


def _status_message(body: bytes) -> str | None:
    """What a Status in the body says."""
    try:
        value = entries(json.loads(body))
    except ValueError:
        return None
    if value.get("kind") != "Status" or value.get("status") == "Success":
        return None
    return str(value.get("message") or "unknown")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
