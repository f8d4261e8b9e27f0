"""Definitions of custom resources: rules, names, and what is served."""

from __future__ import annotations

import copy
from typing import Any

import pytest

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WIDGETS = "/apis/example.org/v1/namespaces/default/widgets"
MERGE = "application/merge-patch+json"


def definition(**changes: Any) -> dict[str, Any]:
    spec = {
        "group": "example.org",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"]},
        "versions": [
            {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
        ],
    }
    names = spec["names"] | changes.pop("names", {})
    spec |= changes | {"names": names}
    return {"metadata": {"name": f"{names['plural']}.{spec['group']}"}, "spec": spec}


def versions(**changes: Any) -> list[dict[str, Any]]:
    return [definition()["spec"]["versions"][0] | changes]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"group": "nodots"}, 'spec.group: Invalid value: "nodots": should be a domain with at least one dot'),
        ({"scope": "World"}, 'spec.scope: Unsupported value: "World": supported values: "Cluster", "Namespaced"'),
        ({"names": {"kind": ""}}, "spec.names.kind: Required value"),
        ({"versions": []}, "spec.versions: Required value: must have at least one version"),
        ({"versions": versions(storage=False)}, "must have exactly one version marked as storage version"),
        ({"versions": versions(schema=None)}, "schema.openAPIV3Schema: Required value: schemas are required"),
        ({"versions": versions() * 2}, "must contain unique version names"),
        (
            {"versions": versions(additionalPrinterColumns=[{"name": "x", "type": "y", "jsonPath": ".a"}])},
            "must be one of boolean,date,integer,number,string",
        ),
        (
            {
                "versions": versions(
                    subresources={"scale": {"specReplicasPath": ".nope", "statusReplicasPath": ".status.r"}}
                )
            },
            "should be a json path under .spec",
        ),
        ({"conversion": {"strategy": "Magic"}}, "spec.conversion.strategy: Unsupported value"),
    ],
)
async def test_a_wrong_definition_is_refused(ask: Any, changes: dict[str, Any], message: str) -> None:
    answer = await ask("POST", CRDS, definition(**changes))
    assert answer.status == 422, answer.body
    assert message in answer.body["message"]


async def test_names_follow_from_the_kind(ask: Any) -> None:
    made = (await ask("POST", CRDS, definition())).body
    assert made["spec"]["names"] | {"shortNames": []} == {
        "plural": "widgets", "kind": "Widget", "singular": "widget", "listKind": "WidgetList", "shortNames": [],
    }  # fmt: skip
    assert made["status"]["storedVersions"] == ["v1"]


async def test_objects_are_served_once_the_definition_is_answered(ask: Any) -> None:
    assert (await ask("GET", WIDGETS)).status == 404
    await ask("POST", CRDS, definition())
    body = {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "a"}}
    assert (await ask("POST", WIDGETS, body)).status == 201
    assert (await ask("GET", WIDGETS)).body["kind"] == "WidgetList"


async def test_names_that_are_taken_are_not_accepted_until_they_are_free(ask: Any) -> None:
    await ask("POST", CRDS, definition())
    await ask("POST", CRDS, definition(names={"plural": "others", "kind": "Other"}))
    other = f"{CRDS}/others.example.org"
    conditions = (await ask("GET", other)).body["status"]["conditions"]
    assert [(one["type"], one["status"]) for one in conditions] == [
        ("NamesAccepted", "False"),
        ("Established", "False"),
    ]
    assert conditions[0]["message"] == '"wd" is already in use'
    assert (await ask("GET", "/apis/example.org/v1/namespaces/default/others")).status == 404
    await ask("PATCH", other, {"spec": {"names": {"shortNames": ["ot"]}}}, content_type=MERGE)
    assert (await ask("GET", "/apis/example.org/v1/namespaces/default/others")).status == 200


async def test_what_identifies_objects_may_not_change(ask: Any) -> None:
    await ask("POST", CRDS, definition())
    answer = await ask("PATCH", f"{CRDS}/widgets.example.org", {"spec": {"scope": "Cluster"}}, content_type=MERGE)
    assert answer.status == 422
    assert 'spec.scope: Invalid value: "Cluster": field is immutable' in answer.body["message"]


async def test_a_definition_waits_for_objects_that_wait(ask: Any) -> None:
    await ask("POST", CRDS, definition())
    body = {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "a", "finalizers": ["x.org/f"]}}
    await ask("POST", WIDGETS, body)
    await ask("DELETE", f"{CRDS}/widgets.example.org")
    assert (await ask("GET", f"{WIDGETS}/a")).body["metadata"]["deletionTimestamp"]
    await ask("PATCH", f"{WIDGETS}/a", {"metadata": {"finalizers": None}}, content_type=MERGE)
    assert (await ask("GET", f"{CRDS}/widgets.example.org")).status == 404
    assert (await ask("GET", WIDGETS)).status == 404


async def test_a_version_no_longer_served_is_not_found(ask: Any) -> None:
    body = definition()
    body["spec"]["versions"].append(copy.deepcopy(versions()[0]) | {"name": "v2", "storage": False})
    await ask("POST", CRDS, body)
    v2 = WIDGETS.replace("v1", "v2")
    assert (await ask("GET", v2)).status == 200
    body["spec"]["versions"][1]["served"] = False
    patch = {"spec": {"versions": body["spec"]["versions"]}}
    assert (await ask("PATCH", f"{CRDS}/widgets.example.org", patch, content_type=MERGE)).status == 200
    assert (await ask("GET", v2)).status == 404
    assert (await ask("GET", "/apis/example.org")).body["versions"] == [
        {"groupVersion": "example.org/v1", "version": "v1"}
    ]


async def test_selectable_fields_select(ask: Any) -> None:
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"color": {"type": "string"}}}}}
    fields = {"schema": {"openAPIV3Schema": schema}, "selectableFields": [{"jsonPath": ".spec.color"}]}
    await ask("POST", CRDS, definition(versions=versions(**fields)))
    for name, color in (("a", "red"), ("b", "blue")):
        body = {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": name}, "spec": {"color": color}}
        await ask("POST", WIDGETS, body)
    found = (await ask("GET", f"{WIDGETS}?fieldSelector=spec.color%3Dred")).body["items"]
    assert [one["metadata"]["name"] for one in found] == ["a"]


async def test_nothing_is_made_of_a_definition_that_is_going(ask: Any) -> None:
    await ask("POST", CRDS, definition())
    held = {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "a", "finalizers": ["x.org/y"]}}
    await ask("POST", WIDGETS, held)
    await ask("DELETE", f"{CRDS}/widgets.example.org")
    answer = await ask("POST", WIDGETS, held | {"metadata": {"name": "b"}})
    why = "create not allowed while custom resource definition is terminating"
    assert (answer.status, answer.body["message"]) == (405, why)
    assert (await ask("PATCH", f"{WIDGETS}/a", {"metadata": {"finalizers": None}}, content_type=MERGE)).status == 200
    assert (await ask("GET", f"{CRDS}/widgets.example.org")).status == 404


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (-1, "Invalid value: -1: should be a non-negative integer"),
        (2**31, "Invalid value: 2147483648: should be less than or equal to 2147483647"),
        (True, "Invalid value: 0: .spec.size accessor error: true is of the type bool, expected int64"),
        ("3", "Invalid value: 0: .spec.size accessor error: 3 is of the type string, expected int64"),
        (3, ""),
        (None, ""),
    ],
)
async def test_numbers_that_scale_reads_are_numbers(ask: Any, value: Any, why: str) -> None:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    scale = {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"}
    await ask("POST", CRDS, definition(versions=versions(schema=schema, subresources={"scale": scale})))
    body = {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": {"size": value}}
    answer = await ask("POST", WIDGETS, body)
    if not why:
        assert answer.status == 201
    else:
        assert [(one["field"], one["message"]) for one in answer.body["details"]["causes"]] == [(".spec.size", why)]
