"""Events in tables, of core and of events.k8s.io."""

from __future__ import annotations

from kubelab.apiserver.builtin.fields import entries
from kubelab.apiserver.builtin.printers.ages import age
from kubelab.objects import Json, Object


def event(obj: Object, now: str) -> list[Json]:
    """Last Seen, Type, Reason, Object, Message; Subobject, Source, First Seen, Count, Name."""
    first = _since(obj, now, ("firstTimestamp", "deprecatedFirstTimestamp", "eventTime"))
    series = obj.get("series")
    last = _since(obj, now, ("lastTimestamp", "deprecatedLastTimestamp"), first)
    count = obj.get("count") or obj.get("deprecatedCount") or 1
    if series:
        last, count = age(series.get("lastObservedTime"), now), series.get("count", 0)
    about = entries(obj.get("involvedObject") or obj.get("regarding"))
    kind = str(about.get("kind", "")).lower()
    return [
        last,
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{kind}/{about['name']}" if about.get("name") else kind,
        about.get("fieldPath", ""),
        _source(obj),
        str(obj.get("message") or obj.get("note") or "").strip(),
        first,
        count,
        obj["metadata"]["name"],
    ]


def _since(obj: Object, now: str, names: tuple[str, ...], nothing: str = "<unknown>") -> str:
    return next((age(obj[name], now) for name in names if obj.get(name)), nothing)


def _source(obj: Object) -> str:
    source = entries(obj.get("source") or obj.get("deprecatedSource"))
    component, host = source.get("component", ""), source.get("host", "")
    if not component:
        component = obj.get("reportingComponent") or obj.get("reportingController") or ""
        host = obj.get("reportingInstance") or ""
    return f"{component}, {host}" if host else str(component)
