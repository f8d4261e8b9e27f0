"""The cases and what was recorded for them: files of this package."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from kubelab.objects import Json

RECORDED_FROM: Final = "kube-apiserver 1.36.2"
"""What gave the recorded answers."""
METHODS: Final = frozenset({"GET", "POST", "PUT", "DELETE", "JSON", "MERGE", "STRATEGIC", "APPLY", "WATCH", "UNTIL"})


@dataclass(frozen=True, slots=True)
class Step:
    """A request: HTTP's methods, PATCH by its kind, WATCH for the events until the time is up.

    `path` is `/...`, or `[GROUP/VERSION/]RESOURCE[/NAME...]` in the case's own namespace. UNTIL asks until the answer
    has `body` in it, and is not compared. `$NS` is the namespace, `$SERVER` the server's address and port within its
    cluster, `${2.FIELD...}` a part of the second answer.
    """

    method: str
    path: str
    body: Json = None
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """A behaviour: its topic, the sentence that says it, and the requests that show it."""

    topic: str
    name: str
    steps: tuple[Step, ...]


class Answer(msgspec.Struct, omit_defaults=True):
    """What came of a step, without what the server chose. Events of a watch are a list."""

    status: int
    body: Json = None
    warnings: list[str] = []


Recorded = dict[tuple[str, str], list[Answer]]


@dataclass(frozen=True, slots=True)
class CaseError(Exception):
    """A file of cases that can't be read as such."""

    place: str
    problem: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.place}: {self.problem}"


def folder(name: str) -> Traversable:
    """A folder of the package."""
    return resources.files(__package__) / name


def load() -> list[Case]:
    """All cases, topic by topic.

    Raises:
        CaseError: one is not written as cases are.
    """
    files = sorted(file.name for file in folder("cases").iterdir() if file.name.endswith(".yaml"))
    return [case for file in files for case in parse((folder("cases") / file).read_text(encoding="utf-8"), file)]


def parse(text: str, place: str) -> list[Case]:
    """The cases of a file.

    Raises:
        CaseError: see `load`.
    """
    document: Any = yaml.safe_load(text)
    if not isinstance(document, dict) or document.keys() != {"topic", "cases"}:
        raise CaseError(place, "has to be a mapping of `topic` and `cases`")
    return [_case(document["topic"], name, steps, place) for name, steps in document["cases"].items()]


def _case(topic: str, name: str, steps: Any, place: str) -> Case:
    if not isinstance(steps, list) or not steps:
        raise CaseError(f"{place}: {name}", "has to be a list of steps")
    return Case(topic, name, tuple(_step(step, f"{place}: {name}") for step in steps))


def _step(step: Any, place: str) -> Step:
    if not isinstance(step, list) or not 2 <= len(step) <= 4 or step[0] not in METHODS:  # noqa: PLR2004  # as said
        raise CaseError(place, f"a step is [METHOD, PATH, BODY, HEADERS], not {step!r}")
    method, path, body, headers = (*step, None, None)[:4]
    return Step(method, str(path), body, tuple((headers or {}).items()))


def recorded() -> Recorded:
    """What the real server answered, case by case."""
    found: Recorded = {}
    for file in folder("recorded").iterdir():
        if file.name.endswith(".jsonl"):
            for line in file.read_bytes().splitlines():
                entry = msgspec.json.decode(line, type=_Line)
                found[entry.topic, entry.name] = entry.answers
    return found


class _Line(msgspec.Struct):
    topic: str
    name: str
    answers: list[Answer]


def write_recorded(where: Path, answers: Recorded) -> None:
    """Write the answers down, a file for each topic.

    Raises:
        OSError: a file cannot be written.
    """
    topics = sorted({topic for topic, _ in answers})
    for topic in topics:
        lines = [
            msgspec.json.encode(_Line(topic, name, said)) for (other, name), said in answers.items() if other == topic
        ]
        (where / f"{slug(topic)}.jsonl").write_bytes(b"\n".join(lines) + b"\n")


def slug(topic: str) -> str:
    """A topic as a file's name."""
    return topic.lower().replace(" ", "-")
