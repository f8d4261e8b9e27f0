"""A review of a MetalLB resource becomes a decision. Pure: bytes in, bytes out (spec/operator.md 1.6, 4.5)."""

from __future__ import annotations

from typing import Final

from msgspec.json import Decoder

from metallb.api.v1beta1 import MetalLB
from metallb.kube.admission import (
    AdmissionRequest,
    Decision,
    UnreadableObjectError,
    allowed,
    read_review,
    refused,
    unreadable,
    write_review,
)
from metallb.operator.validation import new_errors
from metallb.operator.warnings import warnings

PATH: Final = "/validate-metallb-io-v1beta1-metallb"

_METALLB: Final = Decoder(MetalLB)


def answer(body: bytes, namespace: str, external_namespace: str = "") -> bytes:
    """The answer to a review.

    Args:
        body: what the API server sent.
        namespace: the operator's.
        external_namespace: the default for that of an external frr-k8s; may be empty.

    Raises:
        ReviewError: it is no review that can be answered.
    """
    request = read_review(body)
    return write_review(request, decide(request, namespace, external_namespace))


def decide(request: AdmissionRequest, namespace: str, external_namespace: str = "") -> Decision:
    """The decision: see `answer`."""
    if request.operation == "DELETE":
        return allowed()
    try:
        after = request.read(_METALLB)
    except UnreadableObjectError as error:
        return unreadable(f"MetalLB {request.namespace}/{request.name}: can't be read: {error}")
    if after is None:
        return unreadable(f"MetalLB {request.namespace}/{request.name}: there is no object")
    found = new_errors(after, _before(request), external_namespace)
    told = warnings(after, namespace)
    return refused("\n".join(map(str, found)), *told) if found else allowed(*told)


def _before(request: AdmissionRequest) -> MetalLB | None:
    try:
        return request.read_old(_METALLB)
    except UnreadableObjectError:  # it got in somehow: whatever replaces it is judged as if it were new
        return None
