"""POST of a review: a question that is answered and never stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kubelab.apiserver import answers
from kubelab.apiserver.authentication import token_user
from kubelab.apiserver.builtin import reviews
from kubelab.apiserver.handlers import admitting
from kubelab.apiserver.handlers.storing import read_object
from kubelab.apiserver.handlers.subresources import owned_review
from kubelab.apiserver.negotiation import Form
from kubelab.apiserver.request import Response
from kubelab.apiserver.state import Call
from kubelab.objects import Object

_WITHOUT_OWNERS: Final = frozenset({"SelfSubjectReview", "SelfSubjectRulesReview"})


async def review(call: Call) -> Response:
    """The answer to a review.

    Raises:
        ApiError: 400 or 422.
    """
    asked = await admitting.ask(call, read_object(call))
    reply = _ANSWERS[call.resource.kind](call, asked)
    if call.resource.kind not in _WITHOUT_OWNERS:
        reply = owned_review(call, reply, asked, call.resource.gvk)
    return answers.respond_value(201, reply, Form(call.form.media), call.warnings)


def is_review(kind: str) -> bool:
    """Whether objects of a kind are questions."""
    return kind in _ANSWERS


def _token(call: Call, asked: Object) -> Object:
    state = call.state
    return reviews.token_review(
        asked, lambda token, audiences: token_user(state, token, audiences), state.settings.issuer
    )


_ANSWERS: Final[dict[str, Callable[[Call, Object], Object]]] = {
    "SelfSubjectReview": lambda call, _: reviews.self_subject_review(call.user, call.state.now()),
    "SelfSubjectAccessReview": lambda call, asked: reviews.self_subject_access_review(
        asked, call.user, call.state.policy()
    ),
    "SubjectAccessReview": lambda call, asked: reviews.subject_access_review(asked, call.state.policy()),
    "LocalSubjectAccessReview": lambda call, asked: reviews.local_subject_access_review(
        asked, call.namespace, call.state.policy()
    ),
    "SelfSubjectRulesReview": lambda call, asked: reviews.self_subject_rules_review(
        asked, call.user, call.state.policy()
    ),
    "TokenReview": _token,
}
