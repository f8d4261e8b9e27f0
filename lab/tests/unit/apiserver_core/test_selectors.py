"""Label and field selectors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.apiserver.errors import ApiError
from kubelab.apiserver.selectors import fields_match, labels_match, parse_fields, parse_labels
from kubelab.objects import GroupResource

PODS = GroupResource("", "pods")
LABELS = {"app": "web", "tier": "front", "n": "5"}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("app", True),
        ("!app", False),
        ("nope", False),
        ("!nope", True),
        ("app=web", True),
        ("app==web", True),
        ("app = web", True),
        ("app!=web", False),
        ("nope!=web", True),
        ("app in (web,api)", True),
        ("app in ( api )", False),
        ("app notin (api)", True),
        ("nope notin (x)", True),
        ("n>4", True),
        ("n<5", False),
        ("app>4", False),
        ("app=web,tier=front", True),
        ("app=web, tier in (back), n", False),
        ("example.org/x=", False),
    ],
)
def test_labels_are_selected(text: str, *, matches: bool) -> None:
    assert labels_match(parse_labels(text), {"metadata": {"labels": LABELS}}) is matches


def test_an_object_without_labels_has_none_of_them() -> None:
    assert not labels_match(parse_labels("a"), {"metadata": {}})
    assert labels_match(parse_labels("!a"), {"metadata": {"labels": None}})


@pytest.mark.parametrize("text", ["((", "a in", "a=b c", "=", "a in (b", ",,"])
def test_a_text_that_is_no_selector_is_a_bad_request(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_labels(text)
    assert caught.value.code == 400


@given(st.text())
def test_no_text_raises_anything_else(text: str) -> None:
    for parse in (parse_labels, lambda one: parse_fields(one, PODS)):
        try:
            parse(text)
        except ApiError as error:
            assert error.code == 400


POD = {"metadata": {"name": "p", "namespace": "n"}, "spec": {"nodeName": "x", "hostNetwork": True}, "status": {}}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("metadata.name=p", True),
        ("metadata.name==q", False),
        ("metadata.name!=q", True),
        ("spec.nodeName=x,metadata.namespace=n", True),
        ("status.phase=", True),
        ("status.phase!=Running", True),
        ("spec.hostNetwork=true", True),
    ],
)
def test_fields_are_selected(text: str, *, matches: bool) -> None:
    assert fields_match(parse_fields(text, PODS), POD) is matches


def test_a_field_that_cannot_be_selected_is_named() -> None:
    with pytest.raises(ApiError) as caught:
        parse_fields("spec.nope=x", PODS)
    assert caught.value.message == "field label not supported: spec.nope"


def test_custom_resources_are_selected_by_the_fields_they_name() -> None:
    selector = parse_fields("spec.color=red", GroupResource("g", "r"), (".spec.color",))
    assert fields_match(selector, {"metadata": {}, "spec": {"color": "red"}})
