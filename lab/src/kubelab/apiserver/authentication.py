"""Who asks: client certificates, bearer tokens, nobody; and on whose behalf (impersonation)."""

from __future__ import annotations

from kubelab.apiserver.builtin import tokens as token_rules
from kubelab.apiserver.builtin.rbac import ACCOUNT, Attributes, denied
from kubelab.apiserver.errors import bad_request, unauthorized
from kubelab.apiserver.request import ANONYMOUS, Request, User
from kubelab.apiserver.state import State

AUTHENTICATED = "system:authenticated"


def authenticate(state: State, request: Request) -> User:
    """The user of a request.

    Raises:
        ApiError: 401, a token is sent that is worth nothing.
    """
    if request.certificate is not None:
        return with_group(request.certificate)
    scheme, _, token = request.header("authorization").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        if request.header("authorization"):
            raise unauthorized()
        return ANONYMOUS
    user = token_user(state, token.strip(), [state.settings.issuer])
    if user is None:
        raise unauthorized()
    return user


def with_group(user: User) -> User:
    """A user that has shown who it is."""
    if AUTHENTICATED in user.groups:
        return user
    return User(user.name, (*user.groups, AUTHENTICATED), user.uid, user.extra)


def token_user(state: State, token: str, audiences: list[str]) -> User | None:
    """Whose token it is; None if it is nobody's."""
    known = state.tokens.get(token)
    if known is not None:
        return with_group(known)
    claims = state.keys.claims(token) if state.keys is not None else None
    if claims is None:
        return None
    return token_rules.user_of(
        claims, state.storage, now=state.clock(), issuer=state.settings.issuer, audiences=audiences
    )


def impersonate(state: State, request: Request, user: User) -> User:
    """The user on whose behalf a request is made, if it says so and its user may.

    Raises:
        ApiError: 403, it may not; 400, groups without a user.
    """
    name = request.header("impersonate-user")
    groups = request.header_values("impersonate-group")
    uid = request.header("impersonate-uid")
    extra = {
        header.removeprefix("impersonate-extra-"): request.header_values(header)
        for header in request.headers
        if header.startswith("impersonate-extra-")
    }
    if not name:
        if groups or uid or extra:
            raise bad_request(f"requested {_quoted(groups, uid)} without impersonating a user name")
        return user
    for wanted in _impersonated(name, groups, uid, extra):
        if not state.policy().decide(user, wanted).allowed:
            raise denied(user, wanted)
    if name.startswith(ACCOUNT) and not groups:
        namespace = name.removeprefix(ACCOUNT).partition(":")[0]
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
    asked = User(name, groups, uid, extra)
    return asked if name == ANONYMOUS.name else with_group(asked)


def _quoted(groups: tuple[str, ...], uid: str) -> str:
    """Whom somebody wants to be, as Go prints it."""
    listed = "[]string{" + ", ".join(f'"{group}"' for group in groups) + "}" if groups else "[]string(nil)"
    return f'&user.DefaultInfo{{Name:"", UID:"{uid}", Groups:{listed}, Extra:map[string][]string(nil)}}'


def _impersonated(name: str, groups: tuple[str, ...], uid: str, extra: dict[str, tuple[str, ...]]) -> list[Attributes]:
    if name.startswith(ACCOUNT):
        namespace, _, account = name.removeprefix(ACCOUNT).partition(":")
        wanted = [Attributes("impersonate", "", "serviceaccounts", "", namespace, account)]
    else:
        wanted = [Attributes("impersonate", "", "users", "", "", name)]
    wanted += [Attributes("impersonate", "", "groups", "", "", group) for group in groups]
    group = "authentication.k8s.io"
    if uid:
        wanted.append(Attributes("impersonate", group, "uids", "", "", uid))
    wanted += [
        Attributes("impersonate", group, "userextras", key, "", value)
        for key, values in extra.items()
        for value in values
    ]
    return wanted
