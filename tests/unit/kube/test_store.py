from __future__ import annotations

from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from metallb.api.core import ObjectMeta
from metallb.kube.objects import Bare, Key
from metallb.kube.store import FEW, Store

INDEX: Final = "colours"
COLOURS: Final = ("red", "green")


def item(name: str, colours: frozenset[str], version: int) -> Bare:
    return Bare(ObjectMeta(name=name, resource_version=str(version), labels=dict.fromkeys(colours, "")))


NAMES: Final = st.sampled_from([f"n{number}" for number in range(3 * FEW)])
STEPS: Final = st.lists(st.tuples(NAMES, st.none() | st.frozensets(st.sampled_from(COLOURS))), max_size=200)


@given(STEPS)
def test_an_index_finds_what_is_there_however_many_have_a_value(steps: list[tuple[str, frozenset[str] | None]]) -> None:
    store: Store[Bare] = Store({INDEX: lambda each: each.metadata.labels})
    model: dict[str, frozenset[str]] = {}
    for version, (name, colours) in enumerate(steps):
        if colours is None:
            store.remove(Key("", name))
            model.pop(name, None)
        else:
            store.put(item(name, colours, version))
            model[name] = colours
        for colour in COLOURS:
            found = [each.metadata.name for each in store.indexed(INDEX, colour)]
            assert len(found) == len(set(found))
            assert set(found) == {known for known, its in model.items() if colour in its}


def test_an_index_keeps_nothing_of_what_is_gone() -> None:
    store: Store[Bare] = Store({INDEX: lambda each: each.metadata.labels})
    for number in range(2 * FEW):
        store.put(item(f"n{number}", frozenset(COLOURS), 1))
    for number in range(2 * FEW):
        store.remove(Key("", f"n{number}"))
    assert store.indexed(INDEX, "red") == []
    assert store._indices == {INDEX: {}}
