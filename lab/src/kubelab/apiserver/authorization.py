"""May they: one decision a request, by roles and bindings."""

from __future__ import annotations

from kubelab.apiserver.builtin.rbac import Attributes, denied
from kubelab.apiserver.request import RequestInfo, User
from kubelab.apiserver.state import State


def authorize(state: State, user: User, info: RequestInfo) -> None:
    """Let a request pass that is allowed.

    Raises:
        ApiError: 403, it is not.
    """
    wanted = Attributes.of(info)
    allowed = state.policy().decide(user, wanted).allowed
    state.audit.note(user.name, wanted, allowed=allowed)
    if not allowed:
        raise denied(user, wanted)
