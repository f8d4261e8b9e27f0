"""The order of a list's items after a strategic merge patch: the patch's order first, then the live object's."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from kubelab.objects import Json


def identity(item: Json, key: str) -> Json:
    """What tells an item from others: its merge key's value, or its own in lists of plain values."""
    value = item.get(key) if key and isinstance(item, dict) else item
    return value if isinstance(value, str | int | float | bool | None) else msgspec.json.encode(value)


def identities(items: Iterable[Json], key: str) -> list[Json]:
    """The identities of items, in their order."""
    return [identity(item, key) for item in items]


def arranged(merged: list[Json], order: list[Json], live: list[Json], key: str) -> list[Json]:
    """The merged items: those of `order` in its order, the others in the live list's order, put in between.

    An item that is not in `order` goes before the first one of `order` that comes after it in the live list; so what
    the patch adds comes before what is there.
    """
    wanted = {one: place for place, one in reversed(list(enumerate(identities(order, key))))}
    lived = {one: place for place, one in reversed(list(enumerate(identities(live, key))))}
    named = [(identity(item, key), item) for item in merged]
    patched = sorted((pair for pair in named if pair[0] in wanted), key=lambda pair: wanted[pair[0]])
    others = sorted((pair for pair in named if pair[0] not in wanted), key=lambda pair: lived.get(pair[0], len(lived)))
    result: list[Json] = []
    for one, item in patched:
        while others and one in lived and others[0][0] in lived and lived[others[0][0]] < lived[one]:
            result.append(others.pop(0)[1])
        result.append(item)
    return result + [item for _, item in others]


def go_text(value: Json) -> str:
    """A value as Go prints it (`%v`): `map[name:a port:80]`, `[a b]`."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{name}:{go_text(part)}" for name, part in sorted(value.items())) + "]"
    if isinstance(value, list):
        return "[" + " ".join(go_text(item) for item in value) + "]"
    if value is None:
        return "<nil>"
    return str(value).lower() if isinstance(value, bool) else str(value)
