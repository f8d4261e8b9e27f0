"""How roles are held against what processes asked for: no right is missed, none overlooked."""

from __future__ import annotations

import pytest
from tests import rights
from tests.rights import UNUSED, Right

from kubelab.askings import Asked

SPEAKER = "system:serviceaccount:metallb-system:speaker"
LISTS = Asked(SPEAKER, "list", "", "services", "", "", refused=False)


def everything() -> set[Asked]:
    """Every right once, as it was given."""
    return {
        Asked(
            f"system:serviceaccount:metallb-system:{account}",
            *(right.verb, right.group, right.resource),
            "" if right.everywhere else "metallb-system",
            right.name,
            refused=False,
        )
        for account, found in rights.granted().items()
        for right in found
    }


def test_who_uses_all_that_is_given_and_no_more_has_no_fault() -> None:
    assert rights.missing(everything()) == []
    assert rights.unused(everything()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"verb": "delete"},
        {"group": "apps"},
        {"resource": "secrets"},
        {"user": "system:serviceaccount:openshift-operators:speaker", "resource": "nodes/proxy"},
    ],
    ids=str,
)
def test_what_no_rule_gives_is_named(change: dict[str, object]) -> None:
    wrong = LISTS._replace(refused=True, **change)  # type: ignore[arg-type]  # one field of several types
    (named,) = rights.missing({LISTS, wrong})
    assert named.startswith("speaker has no right to ")
    assert rights.missing({wrong._replace(refused=False)}) == [], "others' rules allowed it"


def test_what_was_taken_away_for_a_while_is_no_fault() -> None:
    assert rights.missing({LISTS._replace(refused=True)}) == []


def test_a_right_in_the_own_namespace_is_none_elsewhere() -> None:
    own = next(each for each in rights.granted()["speaker"] if not each.everywhere)
    asked = Asked(SPEAKER, own.verb, own.group, own.resource, "metallb-system", own.name, refused=True)
    assert rights.missing({asked}) == []
    assert rights.missing({asked._replace(namespace="")})
    assert rights.missing({asked._replace(namespace="default")})


def test_a_right_to_one_name_is_none_to_another() -> None:
    right = Right("get", "", "secrets", everywhere=False, name="key")
    asked = Asked(SPEAKER, "get", "", "secrets", "space", "key", refused=False)
    assert right.covers(asked, "space")
    assert not right.covers(asked._replace(name="other"), "space")
    assert not right.covers(asked._replace(name=""), "space")


def test_a_right_that_nobody_asks_for_is_named_unless_there_is_a_reason() -> None:
    named = rights.unused(set())
    assert "speaker never uses its right to watch /services (in all namespaces)" in named
    assert not [each for each in named if " list " in each]
    every = everything()
    dropped = next(each for each in every if each.user == SPEAKER and each.verb == "watch")
    (left,) = rights.unused(every - {dropped})
    assert left.startswith(f"speaker never uses its right to watch {dropped.group}/{dropped.resource}")


def test_others_are_not_judged() -> None:
    for user in ("system:serviceaccount:elsewhere:speaker", "system:serviceaccount:metallb-system:default"):
        assert rights.missing({LISTS._replace(user=user, verb="delete", refused=True)}) == []


def test_excuses_are_about_rights_that_there_are() -> None:
    for account, reasons in UNUSED.items():
        given = rights.granted()[account]
        about = {part for each in given for part in (each.verb, each.resource, f"{each.verb} {each.resource}")}
        assert reasons.keys() <= about
