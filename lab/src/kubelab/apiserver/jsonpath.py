"""Simple JSON paths as CustomResourceDefinitions use them: columns, scale paths, selectable fields.

Known: `.a.b`, `['a.b']`, `[0]`, `[*]`, `[?(@.type=="Ready")]`, with escaped dots (client-go `util/jsonpath`, in part).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from kubelab.objects import Json

_STEP: Final = re.compile(
    r"""\.(?P<name>(?:\\.|[^.\[\\])+)
      | \[\s*(?P<index>-?\d+)\s*\]
      | \[\s*(?P<all>\*)\s*\]
      | \[\s*'(?P<single>[^']*)'\s*\] | \[\s*"(?P<double>[^"]*)"\s*\]
      | \[\s*\?\(\s*@(?P<path>[^=!<>]+?)\s*(?P<op>==|!=)\s*(?P<value>"[^"]*"|'[^']*'|[^)]+?)\s*\)\s*\]""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a path: a field, an index, all items, or the items that a filter lets through."""

    name: str = ""
    index: int | None = None
    every: bool = False
    where: tuple[tuple[Step, ...], bool, str] | None = None

    def take(self, value: Json) -> Iterator[Json]:
        """All values one step further."""
        if self.where is not None:
            path, equal, wanted = self.where
            for item in value if isinstance(value, list) else ():
                found = next(walk(path, item), None)
                if (_text(found) == wanted) == equal:
                    yield item
        elif self.every:
            yield from value if isinstance(value, list) else value.values() if isinstance(value, dict) else ()
        elif self.index is not None:
            if isinstance(value, list) and -len(value) <= self.index < len(value):
                yield value[self.index]
        elif isinstance(value, dict) and self.name in value:
            yield value[self.name]


def _text(value: Json) -> str:
    return {True: "true", False: "false", None: ""}.get(value, str(value)) if not isinstance(value, list | dict) else ""


@functools.lru_cache(maxsize=1024)
def parse(path: str) -> tuple[Step, ...]:
    """The steps of a path.

    Raises:
        ValueError: it is none that is known here.
    """
    text = path.strip().removeprefix("{").removesuffix("}").removeprefix("$").strip()
    if text and text[0] not in ".[":
        text = "." + text
    steps: list[Step] = []
    at = 0
    while at < len(text):
        match = _STEP.match(text, at)
        if match is None:
            raise ValueError(f"unknown syntax in JSON path {path!r} at {text[at:]!r}")
        steps.append(_step(match))
        at = match.end()
    return tuple(steps)


def _step(match: re.Match[str]) -> Step:
    if match["index"] is not None:
        return Step(index=int(match["index"]))
    if match["all"] is not None:
        return Step(every=True)
    if match["path"] is not None:
        return Step(where=(parse(match["path"]), match["op"] == "==", match["value"].strip("\"'")))
    name = (
        match["name"]
        if match["name"] is not None
        else match["single"]
        if match["single"] is not None
        else match["double"]
    )
    return Step(name=re.sub(r"\\(.)", r"\1", name))


def walk(steps: Iterable[Step], value: Json) -> Iterator[Json]:
    """All values that steps lead to."""
    values: Iterable[Json] = (value,)
    for step in steps:
        values = [found for one in values for found in step.take(one)]
    yield from values


def first(path: str, value: Json) -> Json:
    """The first value a path leads to; None if there is none or the path is no path."""
    try:
        return next(walk(parse(path), value), None)
    except ValueError:
        return None
