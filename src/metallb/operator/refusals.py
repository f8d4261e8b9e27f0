"""Pods that the API server refuses to create for a DaemonSet: told by events only, never in its status. Pure.

A missing PriorityClass, a quota, pod security: for a Deployment the same stands in the condition `ReplicaFailure`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Final

from metallb.api.core import Model, ObjectMeta

SELECTOR: Final = "reason=FailedCreate,type=Warning"
"""Field selector of the events."""

LASTS: Final = dt.timedelta(minutes=20)
"""The controller tries again every 17 minutes at the latest: an older event is of something that is over."""

_PREFIX: Final = "Error creating: "


class InvolvedObject(Model, frozen=True):
    """core/v1 ObjectReference."""

    kind: str = ""
    name: str = ""


class CreationRefused(Model, frozen=True):
    """core/v1 Event with the reason FailedCreate."""

    metadata: ObjectMeta = ObjectMeta()
    involved_object: InvolvedObject = InvolvedObject()
    message: str = ""
    last_timestamp: str | None = None
    event_time: str | None = None

    @property
    def moment(self) -> dt.datetime | None:
        """When it was said last; None: it does not say."""
        text = self.last_timestamp or self.event_time or self.metadata.creation_timestamp
        return dt.datetime.fromisoformat(text) if text else None


def latest(events: Iterable[CreationRefused], kind: str, name: str, now: dt.datetime) -> str:
    """Why the pods of an object are refused, in the API server's words; empty: nobody says so."""
    about = (each for each in events if each.involved_object == InvolvedObject(kind, name))
    told = [(moment, each.message) for each in about if (moment := each.moment) and now - moment <= LASTS]
    return max(told)[1].removeprefix(_PREFIX) if told else ""
