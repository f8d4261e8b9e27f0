"""Event objects, as controllers (core/v1 style) and the scheduler (events.k8s.io style) write them."""

from __future__ import annotations

from datetime import datetime

from kubelab.controllers.decide import times
from kubelab.controllers.decide.writes import Record
from kubelab.objects import Object


def event(record: Record, now: datetime, serial: int, host: str) -> Object:
    """A new event. `serial` makes its name unique: nanoseconds of the clock."""
    about = record.about
    meta = about["metadata"]
    namespace = str(meta.get("namespace") or "default")
    involved: Object = {"kind": about["kind"], "name": meta["name"], "uid": meta.get("uid", "")}
    involved["apiVersion"] = about["apiVersion"]
    if meta.get("namespace"):
        involved |= {"namespace": namespace, "resourceVersion": meta.get("resourceVersion", "")}
    made: Object = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{meta['name']}.{serial:x}", "namespace": namespace},
        "involvedObject": involved,
        "reason": record.reason,
        "message": record.message,
        "type": "Warning" if record.warning else "Normal",
        "reportingComponent": record.component,
    }
    if record.action:
        instance = f"{record.component}-{host}"
        return made | {
            "source": {},
            "eventTime": times.stamp_micro(now),
            "action": record.action,
            "reportingInstance": instance,
        }
    moment = times.stamp(now)
    return made | {
        "source": {"component": record.component},
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
        "eventTime": None,
        "reportingInstance": "",
    }


def repeated(record: Record, count: int, now: datetime) -> Object:
    """The patch that says that the same thing happened again, for the `count`th time."""
    if record.action:
        return {"series": {"count": count, "lastObservedTime": times.stamp_micro(now)}}
    return {"count": count, "lastTimestamp": times.stamp(now)}


def identity(record: Record) -> tuple[str, ...]:
    """What makes two records the same thing happening again."""
    uid = str(record.about["metadata"].get("uid"))
    return (uid, record.component, record.reason, record.message, str(record.warning))
