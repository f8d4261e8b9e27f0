"""Who a container's program is: what the pod says, else what the image says, by the image's own user database. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from kubelab.kubelet.layouts import Image
from kubelab.kubelet.podspec import Security


class UserError(Exception):
    """Nobody can be found by that name in the image; worded as by runtimes."""


@dataclass(frozen=True, slots=True)
class User:
    """The numbers of user and group."""

    user: int
    group: int


def refusal(security: Security, image_user: str) -> str:
    """Why a container must not run as its image's user, in the kubelet's words; empty: it may."""
    said = image_user.partition(":")[0]
    if security.user is not None or not security.non_root:
        return ""
    if said and not said.isdigit():
        return f"container has runAsNonRoot and image has non-numeric user ({said}), cannot verify user is non-root"
    return "" if int(said or 0) else "container has runAsNonRoot and image will run as root"


def user_of(security: Security, image: Image, passwd: str, group: str) -> User:
    """User and group of a container's program; `passwd` and `group` are the image's files of these names.

    Raises:
        UserError: the image's user is not in its files.
    """
    said, _, said_group = image.user.partition(":")
    user = security.user if security.user is not None else _number(said or "0", passwd, "user")
    if security.group is not None:
        return User(user, security.group)
    if said_group and security.user is None:
        return User(user, _number(said_group, group, "group"))
    return User(user, _group_of(user, passwd))


def _number(said: str, database: str, kind: str) -> int:
    if said.isdigit():
        return int(said)
    for line in database.splitlines():
        fields = line.split(":")
        if fields[0] == said:
            return int(fields[2])
    raise UserError(f"unable to find {kind} {said}: no matching entries in the image's files")


def _group_of(user: int, passwd: str) -> int:
    """The group that goes with a user; root's if the image does not know the user."""
    for line in passwd.splitlines():
        fields = line.split(":")
        if len(fields) > 3 and fields[2] == str(user):  # noqa: PLR2004  # name, password, number, group
            return int(fields[3])
    return 0
