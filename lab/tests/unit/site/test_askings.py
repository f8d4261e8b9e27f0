"""What service accounts asked for, read off an audit log."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kubelab.askings import Asked, read

USER = "system:serviceaccount:space:agent"


def line(verb: str = "get", code: int = 200, username: str = USER, **more: Any) -> bytes:
    reference = {"resource": "pods", "namespace": "space", "name": "one", "apiVersion": "v1"}
    event = {"verb": verb, "user": {"username": username}, "objectRef": reference, "responseStatus": {"code": code}}
    return json.dumps(event | more, separators=(",", ":")).encode() + b"\n"


ASKED = Asked(USER, "get", "", "pods", "space", "one", refused=False)


@pytest.mark.parametrize(
    ("written", "found"),
    [
        pytest.param(line(), {ASKED}, id="plain"),
        pytest.param(line() * 3, {ASKED}, id="thrice"),
        pytest.param(line(code=404), {ASKED}, id="not there"),
        pytest.param(line(code=403), {ASKED._replace(refused=True)}, id="refused"),
        pytest.param(line(username="root"), set(), id="a person"),
        pytest.param(line(impersonatedUser={"username": "x"}), set(), id="for somebody else"),
        pytest.param(line(objectRef=None), set(), id="a path"),
        pytest.param(line("create", 201), {ASKED._replace(verb="create", name="")}, id="made"),
        pytest.param(
            line("patch", 201),
            {ASKED._replace(verb="patch"), ASKED._replace(verb="create", name="")},
            id="made by an apply",
        ),
        pytest.param(
            line(
                "update",
                objectRef={"resource": "pods", "subresource": "status", "apiGroup": "g", "name": "one"},
            ),
            {Asked(USER, "update", "g", "pods/status", "", "one", refused=False)},
            id="a part, in no namespace",
        ),
        pytest.param(
            line(
                "watch",
                objectRef={"resource": "pods", "namespace": "space"},
                requestURI="/api/v1/namespaces/space/pods?watch=1&fieldSelector=metadata.name%3Done",
            ),
            {ASKED._replace(verb="watch")},
            id="a watch of one",
        ),
        pytest.param(
            line(
                "list",
                objectRef={"resource": "pods", "namespace": "space"},
                requestURI="/api/v1/namespaces/space/pods?fieldSelector=spec.nodeName%3Done",
            ),
            {ASKED._replace(verb="list", name="")},
            id="a list of some",
        ),
        pytest.param(line() + line("list")[:-40], {ASKED}, id="cut short"),
        pytest.param(b"", set(), id="nothing"),
    ],
)
def test_each_asking_of_an_account_itself_counts_once(written: bytes, found: set[Asked]) -> None:
    assert read(written.splitlines(keepends=True)) == found
