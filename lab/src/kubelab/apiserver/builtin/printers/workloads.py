"""Deployments, daemon sets, jobs and their kin in tables."""

from __future__ import annotations

from datetime import datetime

from kubelab.apiserver.builtin import selectors
from kubelab.apiserver.builtin.fields import entries, items
from kubelab.apiserver.builtin.printers.ages import age, duration
from kubelab.objects import Json, Object


def _age(obj: Object, now: str) -> str:
    return age(obj["metadata"].get("creationTimestamp"), now)


def _containers(template: Object) -> list[Json]:
    containers = items(entries(entries(template).get("spec")).get("containers"))
    return [",".join(one.get(field, "") for one in containers) for field in ("name", "image")]


def deployment(obj: Object, now: str) -> list[Json]:
    """Name, Ready, Up-to-date, Available, Age; Containers, Images, Selector."""
    spec, status = obj["spec"], entries(obj.get("status"))
    return [
        obj["metadata"]["name"],
        f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}",
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        _age(obj, now),
        *_containers(spec["template"]),
        selectors.shown(spec.get("selector")),
    ]


def daemon_set(obj: Object, now: str) -> list[Json]:
    """Name, Desired, Current, Ready, Up-to-date, Available, Node Selector, Age; Containers, Images, Selector."""
    spec, status = obj["spec"], entries(obj.get("status"))
    numbers = (
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    )
    return [
        obj["metadata"]["name"],
        *(status.get(number, 0) for number in numbers),
        selectors.shown_labels(entries(spec["template"].get("spec")).get("nodeSelector")),
        _age(obj, now),
        *_containers(spec["template"]),
        selectors.shown(spec.get("selector")),
    ]


def replica_set(obj: Object, now: str) -> list[Json]:
    """Name, Desired, Current, Ready, Age; Containers, Images, Selector."""
    spec, status = obj["spec"], entries(obj.get("status"))
    return [
        obj["metadata"]["name"],
        spec.get("replicas", 0),
        status.get("replicas", 0),
        status.get("readyReplicas", 0),
        _age(obj, now),
        *_containers(entries(spec.get("template"))),
        selectors.shown(spec.get("selector")),
    ]


def stateful_set(obj: Object, now: str) -> list[Json]:
    """Name, Ready, Age; Containers, Images."""
    spec, status = obj["spec"], entries(obj.get("status"))
    ready = f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}"
    return [obj["metadata"]["name"], ready, _age(obj, now), *_containers(spec["template"])]


def controller_revision(obj: Object, now: str) -> list[Json]:
    """Name, Controller, Revision, Age."""
    owner = next((one for one in items(obj["metadata"].get("ownerReferences")) if one.get("controller")), None)
    controller = "<none>"
    if owner is not None:
        group = str(owner.get("apiVersion", "")).rpartition("/")[0]
        controller = owner["kind"].lower() + (f".{group}" if group else "") + f"/{owner['name']}"
    return [obj["metadata"]["name"], controller, obj.get("revision", 0), _age(obj, now)]


def job(obj: Object, now: str) -> list[Json]:
    """Name, Status, Completions, Duration, Age; Containers, Images, Selector."""
    spec, status = obj["spec"], entries(obj.get("status"))
    return [
        obj["metadata"]["name"],
        _job_status(status, bool(obj["metadata"].get("deletionTimestamp"))),
        _completions(spec, status.get("succeeded", 0)),
        _job_duration(status, now),
        _age(obj, now),
        *_containers(spec["template"]),
        selectors.shown(spec.get("selector")),
    ]


def _job_status(status: Object, terminating: bool) -> str:  # noqa: FBT001  # a private question
    true = {one.get("type") for one in items(status.get("conditions")) if one.get("status") == "True"}
    for kind, word in (("Complete", "Complete"), ("Failed", "Failed")):
        if kind in true:
            return word
    if terminating:
        return "Terminating"
    waiting = (
        ("Suspended", "Suspended"),
        ("FailureTarget", "FailureTarget"),
        ("SuccessCriteriaMet", "SuccessCriteriaMet"),
    )
    return next((word for kind, word in waiting if kind in true), "Running")


def _completions(spec: Object, succeeded: int) -> str:
    if spec.get("completions") is not None:
        return f"{succeeded}/{spec['completions']}"
    parallelism = spec.get("parallelism") or 1
    return f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"


def _job_duration(status: Object, now: str) -> str:
    started = status.get("startTime")
    if not started:
        return ""
    ended = status.get("completionTime") or now
    return duration((datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds())


def cron_job(obj: Object, now: str) -> list[Json]:
    """Name, Schedule, Timezone, Suspend, Active, Last Schedule, Age; Containers, Images, Selector."""
    spec, status = obj["spec"], entries(obj.get("status"))
    work = entries(entries(spec.get("jobTemplate")).get("spec"))
    last = status.get("lastScheduleTime")
    return [
        obj["metadata"]["name"],
        spec.get("schedule", ""),
        spec.get("timeZone") or "<none>",
        "True" if spec.get("suspend") else "False",
        len(items(status.get("active"))),
        age(last, now) if last else "<none>",
        _age(obj, now),
        *_containers(entries(work.get("template"))),
        selectors.shown(work.get("selector")),
    ]


def disruption_budget(obj: Object, now: str) -> list[Json]:
    """Name, Min Available, Max Unavailable, Allowed Disruptions, Age."""
    spec = entries(obj.get("spec"))
    limits = (spec.get(field) for field in ("minAvailable", "maxUnavailable"))
    return [
        obj["metadata"]["name"],
        *("N/A" if limit is None else str(limit) for limit in limits),
        entries(obj.get("status")).get("disruptionsAllowed", 0),
        _age(obj, now),
    ]
