from __future__ import annotations

import contextlib
import itertools

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.json import Decoder

from metallb.api.core import ObjectMeta, Service
from metallb.kube.answers import decode_event, decode_page
from metallb.kube.errors import ApiError, error_of
from metallb.kube.lines import Lines
from metallb.kube.objects import Key
from metallb.kube.store import Store

SERVICE = Decoder(Service)


@given(
    lines=st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line)),
    cuts=st.lists(st.integers(0, 200)),
)
def test_lines_are_the_same_however_the_stream_is_cut(lines: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    splitter = Lines()
    got = [line for a, b in itertools.pairwise(places) for line in splitter.feed(stream[a:b])]
    assert got == [line for line in lines if line.strip()]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
EVENTS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR", "OTHER"]) | JSON,
        "object": st.fixed_dictionaries({"metadata": JSON, "spec": JSON, "reason": JSON, "code": JSON}) | JSON,
    }
)


@given(line=st.binary() | (EVENTS | JSON).map(msgspec.json.encode))
def test_no_line_of_a_watch_raises_anything_but_an_api_error(line: bytes) -> None:
    with contextlib.suppress(ApiError):
        decode_event("WATCH /x", SERVICE, line)


@given(
    body=st.binary() | JSON.map(msgspec.json.encode) | st.lists(JSON).map(lambda x: msgspec.json.encode({"items": x}))
)
def test_no_body_of_a_list_raises_anything_but_an_api_error(body: bytes) -> None:
    with contextlib.suppress(ApiError):
        decode_page("GET /x", SERVICE, body)


@given(code=st.integers(300, 599), body=st.binary() | JSON.map(msgspec.json.encode), header=st.text(max_size=4))
def test_every_refusal_becomes_an_error_with_its_code(code: int, body: bytes, header: str) -> None:
    error = error_of("GET /x", code, body, retry_after=header)
    assert error.code == code
    assert error.retry_after_s >= 0
    assert str(error)


OBJECTS = st.builds(
    lambda name, version, label: Service(
        metadata=ObjectMeta(name=name, namespace="ns", resource_version=str(version), labels={"app": label})
    ),
    st.sampled_from("abcd"),
    st.integers(1, 9),
    st.sampled_from("xyz"),
)
STEPS = st.lists(st.one_of(OBJECTS, st.sampled_from("abcd"), st.lists(OBJECTS, unique_by=lambda s: s.metadata.name)))


@given(steps=STEPS)
def test_the_index_and_the_changes_tell_what_the_store_holds(steps: list[Service | str | list[Service]]) -> None:
    store: Store[Service] = Store({"app": lambda item: [item.metadata.labels["app"], "all"]})
    mirror: dict[Key, Service] = {}
    for step in steps:
        if isinstance(step, Service):
            changes = [store.put(step)]
        elif isinstance(step, str):
            changes = [store.remove(Key("ns", step))]
        else:
            changes = list(store.replace(step))
            assert {item.metadata.name for item in store} == {item.metadata.name for item in step}
        for change in changes:
            if change is None:
                continue
            assert mirror.get(change.key) == change.before
            if change.after is None:
                del mirror[change.key]
            else:
                mirror[change.key] = change.after
    assert {key: store.get(key) for key in list(store.keys())} == mirror
    for label in ("x", "y", "z"):
        found = {item.metadata.name for item in store.indexed("app", label)}
        assert found == {item.metadata.name for item in mirror.values() if item.metadata.labels["app"] == label}
    assert len(store.indexed("app", "all")) == len(mirror)
