"""In which form an answer is wanted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.apiserver.errors import ApiError
from kubelab.apiserver.negotiation import Form, media_type, negotiate

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", Form()),
        ("*/*", Form()),
        ("application/json, */*", Form()),
        ("application/yaml", Form("application/yaml")),
        ("application/vnd.kubernetes.protobuf,application/json", Form()),
        (f"{TABLE},application/json", Form(view="table")),
        ("application/json;as=Table;v=v9;g=meta.k8s.io,application/json", Form()),
        ("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", Form(view="partial")),
        ("application/yaml;q=0.5,application/json;q=0.9", Form()),
        ("application/json;q=0.1,application/yaml", Form("application/yaml")),
    ],
)
def test_the_best_form_that_can_be_had_is_chosen(accept: str, form: Form) -> None:
    assert negotiate(accept) == form


@pytest.mark.parametrize("accept", ["text/html", "application/vnd.kubernetes.protobuf", "application/json;as=Nope"])
def test_what_cannot_be_had_is_not_acceptable(accept: str) -> None:
    with pytest.raises(ApiError) as caught:
        negotiate(accept)
    assert caught.value.code == 406


@given(st.text())
def test_no_header_raises_anything_else(accept: str) -> None:
    try:
        negotiate(accept)
    except ApiError as error:
        assert error.code == 406


def test_parameters_of_a_media_type_are_left_out() -> None:
    assert media_type("application/json; charset=utf-8") == "application/json"
    assert media_type("") == "application/json"


def test_yaml_answers_are_yaml() -> None:
    assert Form("application/yaml").recode(b'{"a":[1,"2"]}') == b'a:\n- 1\n- "2"\n'
