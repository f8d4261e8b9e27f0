"""What a process makes of the configuration, and says of it in its ConfigurationState object (spec/crds.md 9).

    config, evaluation = evaluate(Reading(snapshot))
    status = desired_status(CONTROLLER, evaluation, present, now)      # equal to what stands there: nothing to write

| the evaluation has | condition | result |
|---|---|---|
| nothing | True, `Reconciled` | `Valid` |
| errors | False, `ConfigurationError` | `Invalid` |
| only inputs that can't be read | Unknown, `InfraError` | `Unknown` |

`lastTransitionTime` moves only with the condition's status (meta/v1 Condition).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from metallb.api.core import Condition, OwnerReference
from metallb.api.net import NodeName
from metallb.api.v1beta1_states import ConfigurationState, ConfigurationStateStatus
from metallb.config.build import Snapshot, build
from metallb.config.errors import ConfigError
from metallb.config.model import Config

COMPONENT_LABEL: Final = "metallb.io/component-type"
NODE_LABEL: Final = "metallb.io/node-name"

PREFIX: Final = "configuration error: "
"""What the message of a condition about errors begins with."""

MESSAGE_LIMIT: Final = 32768
"""The longest message of a condition, in characters (meta/v1 Condition)."""

_MAX_NAME = 253
_MAX_LABEL = 63
_DIGEST = 8


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one look at all that a process reads came to; nothing in it: all is valid and in force.

    Attributes:
        errors: what is wrong; the configuration before stays in force.
        unread: what can't be read, in sentences; the configuration was made without it.
    """

    errors: tuple[ConfigError, ...] = ()
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """What a process knows of the configuration.

    Attributes:
        snapshot: the objects.
        unreadable: objects that exist and do not decode; the snapshot has their last good state, if there was one.
        unread: what can't be read at all, in sentences.
    """

    snapshot: Snapshot
    unreadable: tuple[ConfigError, ...] = ()
    unread: tuple[str, ...] = ()


def evaluate(reading: Reading) -> tuple[Config | None, Evaluation]:
    """The configuration, or None where there are errors; and what there is to say of it."""
    built = build(reading.snapshot)
    errors = (*reading.unreadable, *built.errors)
    return None if errors else built.config, Evaluation(errors, reading.unread)


@dataclass(frozen=True, slots=True)
class Component:
    """A process that has a ConfigurationState.

    Attributes:
        name: of the object.
        labels: by which it is found.
        condition: the type of its condition.
        manager: the owner of the status' fields under server-side apply.
    """

    name: str
    labels: Mapping[str, str]
    condition: Literal["poolReconcilerValid", "configReconcilerValid"]
    manager: Literal["poolReconciler", "configReconciler"]


CONTROLLER: Final = Component("controller", {COMPONENT_LABEL: "controller"}, "poolReconcilerValid", "poolReconciler")


def speaker_on(node: NodeName) -> Component:
    """The speaker of a node; a name that is longer than names and labels may be is cut, and marked by a digest."""
    labels = {COMPONENT_LABEL: "speaker", NODE_LABEL: _fitting(node, _MAX_LABEL)}
    return Component(_fitting(f"speaker-{node}", _MAX_NAME), labels, "configReconcilerValid", "configReconciler")


def desired_metadata(component: Component, namespace: str, owner: OwnerReference | None) -> dict[str, Any]:
    """The labels and the owner of the object, for server-side apply."""
    wanted: dict[str, Any] = {"name": component.name, "namespace": namespace, "labels": dict(component.labels)}
    if owner is not None:
        reference = {"apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name, "uid": owner.uid}
        wanted["ownerReferences"] = [reference]
    return wanted


def metadata_shows(component: Component, owner: OwnerReference | None, present: ConfigurationState) -> bool:
    """Whether the object has the labels and the owner already."""
    metadata = present.metadata
    labelled = component.labels.items() <= metadata.labels.items()
    return labelled and (owner is None or owner.uid in {each.uid for each in metadata.owner_references})


def desired_status(
    component: Component, evaluation: Evaluation, present: ConfigurationState | None, now: str
) -> ConfigurationStateStatus:
    """The whole status after an evaluation.

    Args:
        component: whose.
        evaluation: its latest one.
        present: the object as it is; None: there is none.
        now: the time for a condition whose status changes (RFC 3339, whole seconds).
    """
    result, status, reason, message = _verdict(evaluation)
    before = None if present is None else _condition_of(component, present.status)
    since = before.last_transition_time if before is not None and before.status == status else None
    condition = Condition(component.condition, status, reason, message, since or now)
    return ConfigurationStateStatus(result, message, (condition,))


def status_shows(component: Component, wanted: ConfigurationStateStatus, present: ConfigurationState) -> bool:
    """Whether the object says that already; conditions of others don't count."""
    found = present.status
    same_summary = (found.result, found.error_summary) == (wanted.result, wanted.error_summary)
    return same_summary and _told(_condition_of(component, found)) == _told(_condition_of(component, wanted))


def status_body(wanted: ConfigurationStateStatus) -> dict[str, Any]:
    """The status as JSON, with the fields that may be empty: what is left out would be left to other writers."""
    conditions = [
        {
            "type": each.type,
            "status": each.status,
            "reason": each.reason,
            "message": each.message,
            "lastTransitionTime": each.last_transition_time,
        }
        for each in wanted.conditions
    ]
    return {"result": wanted.result, "errorSummary": wanted.error_summary, "conditions": conditions}


def describe(error: ConfigError) -> str:
    """One line for people, in conditions and events."""
    return f"{error} (looked at again by itself when it is there)" if error.transient else str(error)


def _verdict(evaluation: Evaluation) -> tuple[Literal["Valid", "Invalid", "Unknown"], str, str, str]:
    if evaluation.errors:
        lines = [describe(error) for error in evaluation.errors]
        return "Invalid", "False", "ConfigurationError", _joined(PREFIX, [*lines, *evaluation.unread])
    if evaluation.unread:
        return "Unknown", "Unknown", "InfraError", _joined("", evaluation.unread)
    return "Valid", "True", "Reconciled", ""


def _joined(prefix: str, lines: Iterable[str]) -> str:
    """The lines as far as they fit, and how many don't."""
    lines = list(lines)
    whole = prefix + "\n".join(lines)
    if len(whole) <= MESSAGE_LIMIT:
        return whole
    room = MESSAGE_LIMIT - len(prefix) - len(f"\n... and {len(lines)} more")
    kept: list[str] = []
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        kept.append(line)
    kept = kept or [lines[0][: MESSAGE_LIMIT // 2]]
    return prefix + "\n".join([*kept, f"... and {len(lines) - len(kept)} more"])


def _condition_of(component: Component, status: ConfigurationStateStatus) -> Condition | None:
    return next((each for each in status.conditions if each.type == component.condition), None)


def _told(condition: Condition | None) -> tuple[str, str, str] | None:
    return None if condition is None else (condition.status, condition.reason, condition.message)


def _fitting(name: str, limit: int) -> str:
    if len(name) <= limit:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST]
    return f"{name[: limit - _DIGEST - 1].rstrip('.-')}-{digest}"
