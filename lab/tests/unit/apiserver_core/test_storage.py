"""The storage: versions, the ring of past events, and what was there before."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kubelab.apiserver.errors import ApiError
from kubelab.apiserver.storage import Storage
from kubelab.objects import GroupResource

THINGS = GroupResource("example.org", "things")
NAMES = st.sampled_from(["a", "b", "c", "d"])


def thing(name: str, value: int = 0) -> dict[str, Any]:
    return {"kind": "Thing", "apiVersion": "v1", "metadata": {"name": name, "uid": name}, "value": value}


def test_every_write_gets_the_next_version_of_all_tables() -> None:
    storage = Storage()
    others = GroupResource("", "others")
    revisions = [
        storage.write(THINGS, "", "a", thing("a")).revision,
        storage.write(others, "", "a", thing("a")).revision,
        storage.write(THINGS, "", "a", thing("a", 1)).revision,
        storage.delete(THINGS, "", "a").revision,
    ]
    assert revisions == list(range(revisions[0], revisions[0] + 4))
    assert storage.revision == revisions[-1]


def test_a_stored_object_tells_its_version_and_leaves_the_given_one_alone() -> None:
    storage, given_ = Storage(), thing("a")
    before = copy.deepcopy(given_)
    stored = storage.write(THINGS, "", "a", given_)
    assert given_ == before
    assert stored.obj["metadata"]["resourceVersion"] == str(stored.revision)


def test_a_deletion_shows_the_last_state_with_the_deletions_version() -> None:
    storage = Storage()
    storage.write(THINGS, "", "a", thing("a", 7))
    gone = storage.delete(THINGS, "", "a")
    assert (gone.obj["value"], gone.obj["metadata"]["resourceVersion"]) == (7, str(storage.revision))


def test_lists_come_by_key_and_by_namespace() -> None:
    storage = Storage()
    for namespace, name in (("y", "a"), ("x", "b"), ("x", "a"), ("xx", "a")):
        storage.write(THINGS, namespace, name, thing(f"{namespace}-{name}"))
    assert [one["metadata"]["name"] for one in storage.list(THINGS)] == ["x-a", "x-b", "xx-a", "y-a"]
    assert [one["metadata"]["name"] for one in storage.list(THINGS, "x")] == ["x-a", "x-b"]


def test_what_the_ring_has_dropped_is_expired() -> None:
    storage = Storage(ring=2)
    first = storage.revision
    for value in range(3):
        storage.write(THINGS, "", "a", thing("a", value))
    table = storage.table(THINGS)
    for ask in (table.position_after, table.as_of):
        with pytest.raises(ApiError) as caught:
            ask(first)
        assert (caught.value.code, caught.value.reason) == (410, "Expired")
    assert table.since(0) is None
    assert table.position_after(storage.revision) == table.appended


def test_a_body_is_encoded_once() -> None:
    stored = Storage().write(THINGS, "", "a", thing("a"))
    assert stored.body is stored.body
    assert stored.body.startswith(b'"metadata":')


class History(RuleBasedStateMachine):
    """Writes and deletes at random; a model remembers all states there ever were."""

    def __init__(self) -> None:
        super().__init__()
        self.storage = Storage(ring=8)
        self.model: dict[str, int] = {}
        self.states: dict[int, dict[str, int]] = {self.storage.revision: {}}

    @rule(name=NAMES, value=st.integers())
    def write(self, name: str, value: int) -> None:
        self.storage.write(THINGS, "", name, thing(name, value))
        self.model[name] = value
        self.states[self.storage.revision] = dict(self.model)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.model)))
        self.storage.delete(THINGS, "", name)
        del self.model[name]
        self.states[self.storage.revision] = dict(self.model)

    @invariant()
    def every_state_that_is_not_expired_can_be_had(self) -> None:
        table = self.storage.table(THINGS)
        for revision, state in self.states.items():
            if revision >= table.expired:
                found = {name: stored.obj["value"] for name, stored in table.as_of(revision).items()}
                assert found == state

    @invariant()
    def events_lead_from_any_state_to_the_present_one(self) -> None:
        table = self.storage.table(THINGS)
        for revision, state in self.states.items():
            if revision < table.expired:
                continue
            replayed = dict(state)
            for event in table.since(table.position_after(revision)) or ():
                if event.new is None:
                    del replayed[event.key]
                else:
                    replayed[event.key] = event.new.obj["value"]
            assert replayed == self.model


TestHistory = History.TestCase
TestHistory.settings = settings(max_examples=30, stateful_step_count=25)
