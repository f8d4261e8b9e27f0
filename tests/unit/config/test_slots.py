"""Objects as bits of integers: masks come apart as they were put together, elders are those that came before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallb.config.errors import ObjectName
from metallb.config.parsing import Parsed, seniority, youngest
from metallb.config.slots import Groups, Slots, bits, mask_of

slot_sets = st.sets(st.integers(0, 2000) | st.integers(0, 20), max_size=40)


def parsed(name: str, created: str | None = None) -> Parsed:
    called = ObjectName("Kind", "space", name)
    return Parsed(called, seniority(called, created), ())


@given(slot_sets)
def test_a_mask_comes_apart_as_it_was_put_together(slots: set[int]) -> None:
    assert list(bits(mask_of(slots))) == sorted(slots)


@given(st.integers(0, 300))
def test_a_full_mask_has_every_slot(count: int) -> None:
    assert list(bits((1 << count) - 1)) == list(range(count))


def test_elders_came_before() -> None:
    slots: Slots[Parsed] = Slots()
    items = {
        name: parsed(name, created)
        for name, created in (("c", "2026-01-01T00:00:00Z"), ("b", None), ("a", None), ("d", "2026-01-02T00:00:00Z"))
    }
    for item in items.values():
        slots.put(item)
    for name, elders in {"c": "", "d": "c", "a": "cd", "b": "acd"}.items():
        found = slots.of(slots.elders(items[name].seniority))
        assert sorted(each.object.name for each in found) == list(elders)
    assert slots.elders(youngest(items["c"].object)) == slots.elders(None) == slots.all
    assert [each.object.name for each in slots.by_age(slots.all)] == ["c", "d", "a", "b"]


def test_a_slot_that_is_left_is_taken_again() -> None:
    slots: Slots[Parsed] = Slots()
    one, two, three = map(parsed, ("one", "two", "three"))
    assert (slots.put(one), slots.put(two)) == (0, 1)
    assert slots.remove(one) == 0
    assert (slots.bit(one.object), slots.all, len(slots)) == (0, 0b10, 1)
    with pytest.raises(KeyError):
        slots.slot(one.object)
    with pytest.raises(KeyError):
        slots[0]
    assert slots.elders(youngest(one.object)) == 0b10
    assert slots.put(three) == 0
    assert [each.object.name for each in slots] == ["three", "two"]
    assert slots.elders(youngest(one.object)) == 0b11


@given(st.lists(st.tuples(st.sampled_from("xyz"), st.integers(0, 5)), unique=True), st.data())
def test_groups_forget_what_none_has(noted: list[tuple[str, int]], data: st.DataObject) -> None:
    groups: Groups[str] = Groups()
    for value, slot in noted:
        groups.put(value, slot)
    gone = data.draw(st.lists(st.sampled_from(noted), unique=True)) if noted else []
    for value, slot in gone:
        groups.remove(value, slot)
    left = [each for each in noted if each not in gone]
    assert groups == {value: mask_of(slot for other, slot in left if other == value) for value, _ in left}
