"""The cases that the embedded engine answers otherwise, and why; all others it answers as recorded."""

from __future__ import annotations

from typing import Final

GO: Final = "the words are those of Go's own printing of its types"
COMPILED: Final = "types and costs of a rule are not looked at when its kind is made"

DIFFERS: Final[dict[str, str]] = {
    "A quota and a limit range are admitted by others": "quotas and limits are stored and not applied",
    "A definition has to be whole": GO,
    "A schema has to be structural": "what a schema must not have is told with the error that follows from it",
    "A rule's types have to fit": COMPILED,
    "A rule that may cost too much is refused": COMPILED,
    "Newer functions are there": "macros with two variables are not there",
    "An update of another object's uid is refused": "the error names no key of etcd",
    "A label selector chooses": "a selector that can't be read is refused in other words",
    "A patch can't change what names an object": "a patch to another kind is 400 here, 422 there",
    "A patch that is not a patch is refused": GO,
    "Conditions have to be whole": "fields that are left out of a condition are not shown as empty",
    "A slice of endpoints is of one family": "a new type of addresses is refused, and each old address with it",
    "What a pod is made of stays": GO,
    "A disruption budget is one or the other": GO,
}
"""Sentence of a case -> the reason."""
