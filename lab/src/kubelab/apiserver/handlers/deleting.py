"""DELETE: at once, after a grace period, or when finalizers are gone.

Source: apiserver `registry/rest/delete.go`, `registry/generic/registry/store.go`; API concepts ("Resource deletion").
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from kubelab.apiserver import answers, conversion, decoding, listing
from kubelab.apiserver.builtin import admission, fields
from kubelab.apiserver.errors import ApiError, bad_request, conflict, invalid
from kubelab.apiserver.handlers import admitting, converting, writing
from kubelab.apiserver.handlers.storing import answer
from kubelab.apiserver.negotiation import Form
from kubelab.apiserver.request import Request, RequestInfo, Response
from kubelab.apiserver.state import Call
from kubelab.apiserver.storage import Stored
from kubelab.apiserver.webhooks.attributes import delete_options
from kubelab.objects import GroupResource, GroupVersionKind, Object

PODS: Final = GroupResource("", "pods")
DELETE_OPTIONS: Final = GroupVersionKind("", "v1", "DeleteOptions")
CRDS: Final = GroupResource("apiextensions.k8s.io", "customresourcedefinitions")
CRD_FINALIZER: Final = "customresourcecleanup.apiextensions.k8s.io"
_ANSWERED_BY_OBJECT: Final = frozenset(
    GroupResource("", name)
    for name in (
        "persistentvolumeclaims",
        "persistentvolumes",
        "pods",
        "podtemplates",
        "resourcequotas",
        "serviceaccounts",
        "services",
    )
)
_POLICIES: Final = ("Foreground", "Background", "Orphan")
_DEFAULT_GRACE_S: Final = 30
_GC_FINALIZERS: Final = {"Orphan": "orphan", "Foreground": "foregroundDeletion"}


@dataclass(frozen=True, slots=True)
class Options:
    """DeleteOptions. `grace_s` is None where the object's own grace period holds; an empty policy is the kind's own."""

    grace_s: int | None = None
    policy: str = ""
    uid: str = ""
    revision: str = ""
    dry_run: bool = False
    said: Object = field(default_factory=dict)
    """The DeleteOptions as webhooks see them."""


def options_of(request: Request) -> Options:
    """The options in a body and in the address; the body goes first.

    Raises:
        ApiError: 400 or 422.
    """
    body: Any = decoding.parse(request, DELETE_OPTIONS).value if request.body.strip() else {}
    if not isinstance(body, dict):
        raise bad_request("the body of a deletion must be DeleteOptions")
    query = request.query
    grace = body.get("gracePeriodSeconds")
    if grace is None and (text := query.get("gracePeriodSeconds")):
        grace = int(text) if text.lstrip("-").isdigit() else None
    policy = body.get("propagationPolicy") or query.get("propagationPolicy")
    orphan = body.get("orphanDependents")
    if orphan is None and "orphanDependents" in query:
        orphan = query.flag("orphanDependents")
    _check(policy, orphan)
    asked = policy
    if orphan is not None:
        policy = "Orphan" if orphan else "Background"
    preconditions = fields.entries(body.get("preconditions"))
    dry_run = "All" in [*fields.items(body.get("dryRun")), *query.all("dryRun")]
    said = {
        "gracePeriodSeconds": grace,
        "preconditions": preconditions,
        "orphanDependents": orphan,
        "propagationPolicy": asked,
        "dryRun": ["All"] if dry_run else None,
    }
    return Options(
        grace,
        policy,
        preconditions.get("uid", ""),
        preconditions.get("resourceVersion", ""),
        dry_run,
        delete_options(said),
    )


def _check(policy: str, orphan: bool | None) -> None:  # noqa: FBT001  # a field with three values
    if policy and policy not in _POLICIES:
        supported = [fields.unsupported("propagationPolicy", policy, [*_POLICIES, "nil"])]
        raise invalid("meta.k8s.io", "DeleteOptions", "", supported)
    if policy and orphan is not None:
        detail = "orphanDependents and deletionPropagation cannot be both set"
        raise invalid("meta.k8s.io", "DeleteOptions", "", [fields.invalid("propagationPolicy", policy, detail)])


async def delete(call: Call) -> Response:
    """DELETE of one object: the answer is the object where it waits to go, else that it went.

    Raises:
        ApiError: 400, 403, 404, 409 or 422.
    """
    options = options_of(call.request)
    admission.admit("DELETE", {}, None, call.context(call.name))
    old, left, gone = await _deleted(call, options)
    if not gone or call.resource.group_resource in _ANSWERED_BY_OBJECT:
        return answer(call, (await converting.shown(call, [left]))[0])
    return answers.respond_value(200, _success(call, old.obj), Form(call.form.media), call.warnings)


async def _deleted(call: Call, options: Options) -> tuple[Stored, Stored, bool]:
    """The object that was there, what is left of it, and whether it is gone.

    Raises:
        ApiError: 404, 409; what a webhook says; 500, one can't be asked.
    """
    for _ in range(admitting.TRIES):
        old = await converting.existing(call)
        _check_preconditions(call, old.obj, options)
        await admitting.ask_deletion(call, old, options.said)
        now = call.find()
        if now is not None and now.revision == old.revision:
            return old, *apply(call, now, options)
    raise conflict(call.resource.group_resource, call.name, writing.STALE)


def _success(call: Call, obj: Object) -> Object:
    details = {"name": call.name}
    if call.resource.group:
        details["group"] = call.resource.group
    details |= {"kind": call.resource.resource, "uid": obj["metadata"]["uid"]}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


async def collection(call: Call) -> Response:
    """DELETE of all objects that a list would show; the answer is that list.

    Raises:
        ApiError: 400 or 422; what a webhook says of one of them, those before it are gone.
    """
    options = options_of(call.request)
    page = listing.page(call)
    for stored in page.items:
        metadata = stored.obj["metadata"]
        single = one_of(call, metadata.get("namespace", ""), metadata["name"])
        single.collective = True
        try:
            await _deleted(single, options)
        except ApiError as error:
            if error.reason != "NotFound":  # somebody else was faster
                raise
    items = await converting.shown(call, page.items)
    body = answers.list_json(call.resource, items, page.metadata, Form(call.form.media), None)
    return answers.respond(200, body, Form(call.form.media), call.warnings)


def one_of(call: Call, namespace: str, name: str) -> Call:
    """The call on one object of a collection."""
    info = call.info
    single = RequestInfo(
        "delete", info.path, True, info.prefix, info.group, info.version, namespace, info.resource, name
    )
    return Call(call.state, call.request, single, call.resource, call.user, call.form, call.warnings)


def apply(call: Call, old: Stored, options: Options) -> tuple[Stored, bool]:
    """Delete an object, or begin to: what is left of it, and whether it is gone.

    Raises:
        ApiError: 409, it is not the one that is meant.
    """
    before = call.shown(old)
    _check_preconditions(call, before, options)
    obj: Object = {**before, "metadata": dict(before["metadata"])}
    resource = call.resource.group_resource
    if resource == writing.NAMESPACES:
        _terminate_namespace(call, obj)
    elif resource == CRDS:
        _terminate_definition(call, obj)
    else:
        _mark(call, obj, before, options)
    if writing.is_released(obj, resource):
        return _removed(call, before, obj, options), True
    if obj == before:
        return old, False
    if options.dry_run:
        return Stored(obj, old.revision), False
    return call.state.storage.write(
        call.resource.stored, call.namespace, call.name, conversion.to_stored(call.resource, obj)
    ), False


def _removed(call: Call, before: Object, obj: Object, options: Options) -> Stored:
    """Take it away. Whoever watches sees it as it was, unless it had already been marked."""
    if options.dry_run:
        return Stored(obj, 0)
    last = before
    if call.resource.group_resource == PODS and "deletionTimestamp" in obj["metadata"]:
        last = obj
    return writing.remove(call, last)


def _check_preconditions(call: Call, before: Object, options: Options) -> None:
    metadata = before["metadata"]
    kind = GroupResource(call.resource.group, call.resource.kind)
    for part, asked, name, happened in (
        ("UID", options.uid, "uid", "deleted and then recreated"),
        ("ResourceVersion", options.revision, "resourceVersion", "modified"),
    ):
        if asked and asked != metadata[name]:
            why = f"the {part} in the precondition ({asked}) does not match the {part} in record ({metadata[name]}). "
            raise conflict(kind, call.name, f"{why}The object might have been {happened}")


def _terminate_namespace(call: Call, obj: Object) -> None:
    if not obj["metadata"].get("deletionTimestamp"):
        obj["metadata"]["deletionTimestamp"] = call.state.now()
        obj["status"] = {**fields.entries(obj.get("status")), "phase": "Terminating"}


def _terminate_definition(call: Call, obj: Object) -> None:
    """Its objects go first: a finalizer of the server's own holds it until they have."""
    metadata = obj["metadata"]
    if metadata.get("deletionTimestamp"):
        return
    now = call.state.now()
    metadata["deletionTimestamp"] = now
    metadata["finalizers"] = list(dict.fromkeys([*metadata.get("finalizers", ()), CRD_FINALIZER]))
    condition = {
        "type": "Terminating",
        "status": "True",
        "lastTransitionTime": now,
        "reason": "InstanceDeletionPending",
        "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
    }
    status = fields.entries(obj.get("status"))
    obj["status"] = {**status, "conditions": [*fields.items(status.get("conditions")), condition]}


def _mark(call: Call, obj: Object, before: Object, options: Options) -> None:
    """Set time and grace of the deletion, and the finalizers that its policy wants."""
    metadata = obj["metadata"]
    grace = _grace(call, before, options)
    finalizers = _finalizers(list(before["metadata"].get("finalizers", ())), options.policy)
    already = metadata.get("deletionTimestamp") is not None
    if already and grace >= metadata.get("deletionGracePeriodSeconds", 0):
        grace = metadata.get("deletionGracePeriodSeconds", 0)
    else:
        metadata["deletionTimestamp"] = _later(call.state.clock(), grace)
        metadata["deletionGracePeriodSeconds"] = grace
        if not already and metadata.get("generation"):
            metadata["generation"] += 1
    if finalizers:
        metadata["finalizers"] = finalizers
    else:
        metadata.pop("finalizers", None)


def _later(now: datetime, seconds: int) -> str:
    return (now + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _grace(call: Call, pod: Object, options: Options) -> int:
    """Seconds that an object is given; only pods that run somewhere are given any."""
    if call.resource.group_resource != PODS:
        return 0
    spec, status = fields.entries(pod.get("spec")), fields.entries(pod.get("status"))
    if not spec.get("nodeName") or status.get("phase") in {"Failed", "Succeeded"}:
        return 0
    asked = options.grace_s
    if asked is None:
        asked = spec.get("terminationGracePeriodSeconds", _DEFAULT_GRACE_S)
    return max(int(asked), 1) if asked < 0 else int(asked)


def _finalizers(finalizers: list[str], policy: str) -> list[str]:
    """Those that hold the object, given who cares for its dependents."""
    if not policy:
        return finalizers
    kept = [one for one in finalizers if one not in _GC_FINALIZERS.values()]
    wanted = _GC_FINALIZERS.get(policy)
    return [*kept, wanted] if wanted else kept
