"""What the API server sends becomes values: every field, unknown ones, and the nulls that Go writes."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallb.api import core, kinds, v1beta1
from metallb.api.core import EndpointSlice, Node, ObjectMeta, Pod, Service
from metallb.api.net import ServiceKey

OLD = tuple(old.model for kind in kinds.KINDS for old in kind.old)
MODELS = (Service, EndpointSlice, Node, Pod, core.Namespace, *(kind.model for kind in kinds.KINDS), *OLD)


def decode(model: type[Any], value: Any) -> Any:
    return msgspec.json.decode(json.dumps(value), type=model)


def filled(info: msgspec.inspect.Type) -> Any:  # noqa: PLR0911  # one line for each kind of type
    """A JSON value with every field of a model set, each to something that is not its default."""
    match info:
        case msgspec.inspect.Metadata(type=inner):
            return filled(inner)
        case msgspec.inspect.UnionType(types=members):
            return filled(next(each for each in members if not isinstance(each, msgspec.inspect.NoneType)))
        case msgspec.inspect.StructType(fields=fields):
            return {each.encode_name: _flipped(each) for each in fields}
        case msgspec.inspect.VarTupleType(item_type=item):
            return [filled(item)]
        case msgspec.inspect.DictType(value_type=value):
            return {"key": filled(value)}
        case msgspec.inspect.BoolType():
            return True
        case msgspec.inspect.IntType(ge=least):
            return max(7, least or 0)
        case msgspec.inspect.LiteralType(values=values):
            return values[0]
        case _:
            return "text"


def _flipped(each: msgspec.inspect.Field) -> Any:
    return False if each.default is True else filled(each.type)


@pytest.mark.parametrize("model", MODELS)
def test_every_field_is_decoded_and_encoded_under_its_api_name(model: type[Any]) -> None:
    value = filled(msgspec.inspect.type_info(model))
    assert json.loads(msgspec.json.encode(decode(model, value))) == value


@pytest.mark.parametrize("model", MODELS)
def test_unknown_fields_vanish_at_every_depth(model: type[Any]) -> None:
    def enrich(value: Any) -> Any:
        if isinstance(value, list):
            return [enrich(item) for item in value]
        if isinstance(value, dict) and "key" not in value:
            return {name: enrich(item) for name, item in value.items()} | {"unknownField": {"deep": [1, None]}}
        return value

    value = filled(msgspec.inspect.type_info(model))
    assert decode(model, enrich(value)) == decode(model, value)


@pytest.mark.parametrize("model", [each for each in MODELS if each is not v1beta1.IPAddressPool])
def test_an_object_of_metadata_alone_decodes(model: type[Any]) -> None:
    found = decode(model, {"apiVersion": "x", "kind": "Y", "metadata": {"name": "a", "resourceVersion": "1"}})
    assert found.metadata == ObjectMeta(name="a", resource_version="1")


@pytest.mark.parametrize(
    ("model", "value"),
    [
        # Go writes null for a nil slice or time whose JSON tag lacks omitempty: of what we read, these two.
        pytest.param(
            EndpointSlice,
            {"metadata": {"name": "a"}, "addressType": "IPv4", "endpoints": None, "ports": None},
            id="a slice of a Service without pods",
        ),
        pytest.param(
            Service,
            {
                "metadata": {"resourceVersion": "7", "creationTimestamp": None},
                "spec": {},
                "status": {"loadBalancer": {}},
            },
            id="a bookmark of an API server before 1.33",
        ),
        pytest.param(
            Pod,
            {
                "metadata": {"resourceVersion": "7", "creationTimestamp": None},
                "spec": {"containers": None},
                "status": {},
            },
            id="a bookmark of a pod",
        ),
        pytest.param(
            Service, {"spec": {"loadBalancerClass": None}, "metadata": {"deletionTimestamp": None}}, id="pointers"
        ),
        pytest.param(
            EndpointSlice,
            {"endpoints": [{"addresses": [], "conditions": {"ready": None}, "nodeName": None, "targetRef": None}]},
            id="an endpoint of no node",
        ),
        pytest.param(v1beta1.MetalLB, {"spec": {"logLevel": None, "speakerConfig": None}}, id="pointers of a MetalLB"),
        pytest.param(
            v1beta1.IPAddressPool, {"spec": {"addresses": [], "serviceAllocation": None}, "status": None}, id="a pool"
        ),
    ],
)
def test_nulls_that_a_server_writes_decode(model: type[Any], value: Any) -> None:
    assert isinstance(decode(model, value), model)


@pytest.mark.parametrize("field", ["labels", "annotations", "ownerReferences", "name", "generation"])
def test_nulls_that_no_server_writes_are_refused_for_that_object(field: str) -> None:
    """The server drops them: `omitempty` in Go, pruning of custom resources. The informer keeps what it had."""
    with pytest.raises(msgspec.ValidationError):
        decode(Service, {"metadata": {field: None}})


def test_services_of_a_slice_are_found_by_label() -> None:
    labels = {"kubernetes.io/service-name": "web"}
    slice_ = decode(EndpointSlice, {"metadata": {"namespace": "default", "name": "web-abc", "labels": labels}})
    assert slice_.service == ServiceKey("default", "web")
    assert decode(EndpointSlice, {"metadata": {"namespace": "default", "name": "own"}}).service is None


@pytest.mark.parametrize(
    ("status", "deleted", "ready"),
    [
        ({"conditions": [{"type": "Ready", "status": "True"}]}, None, True),
        ({"conditions": [{"type": "Ready", "status": "False"}]}, None, False),
        ({"conditions": [{"type": "Ready", "status": "True"}]}, "2026-01-01T00:00:00Z", False),
        ({"conditions": [{"type": "ContainersReady", "status": "True"}]}, None, False),
        ({}, None, False),
    ],
)
def test_a_pod_lives_when_it_is_ready_and_not_on_its_way_out(
    status: dict[str, Any],
    deleted: str | None,
    ready: bool,  # noqa: FBT001  # a column
) -> None:
    assert decode(Pod, {"metadata": {"deletionTimestamp": deleted}, "status": status}).ready is ready


@pytest.mark.parametrize(
    ("conditions", "serves"),
    [
        ({}, True),
        ({"ready": True}, True),
        ({"ready": False}, False),
        ({"ready": False, "serving": True, "terminating": True}, True),
        ({"ready": False, "serving": False, "terminating": True}, False),
        ({"serving": False}, True),
    ],
)
def test_endpoints_that_can_serve(conditions: dict[str, bool], serves: bool) -> None:  # noqa: FBT001  # a column
    endpoint = decode(EndpointSlice, {"endpoints": [{"conditions": conditions}]}).endpoints[0]
    assert endpoint.can_serve is serves


def test_conditions_of_a_node() -> None:
    node = decode(Node, {"status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    assert (node.condition("Ready"), node.condition("NetworkUnavailable")) == ("True", "")


@given(
    st.lists(
        st.tuples(st.sampled_from(["", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]), st.text("ab", max_size=2))
    )
)
def test_the_oldest_is_first_in_line_and_names_break_ties(drawn: list[tuple[str, str]]) -> None:
    services = [Service(metadata=ObjectMeta(name=name, creation_timestamp=at or None)) for at, name in drawn]
    found = sorted(services, key=lambda each: each.seniority)
    assert [(each.metadata.creation_timestamp or "", each.metadata.name) for each in found] == sorted(drawn)
