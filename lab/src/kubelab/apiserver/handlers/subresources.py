"""Subresources that are neither part of the object nor a copy of it: binding, eviction, token, finalize."""

from __future__ import annotations

import uuid
from typing import Final

from kubelab.apiserver import answers
from kubelab.apiserver.builtin import fields, tokens
from kubelab.apiserver.builtin.selectors import matches
from kubelab.apiserver.errors import ApiError, bad_request, conflict
from kubelab.apiserver.handlers import admitting, deleting, writing
from kubelab.apiserver.handlers.reading import existing
from kubelab.apiserver.handlers.storing import answer, read_object
from kubelab.apiserver.negotiation import Form
from kubelab.apiserver.patching import managed
from kubelab.apiserver.request import RequestInfo, Response
from kubelab.apiserver.state import Call
from kubelab.objects import GroupResource, GroupVersionKind, Object

_SUCCESS: Final[Object] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
_NODES: Final = GroupResource("", "nodes")
_TOPOLOGY: Final = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")
_BINDING: Final = GroupVersionKind("", "v1", "Binding")
_EVICTION: Final = GroupVersionKind("policy", "v1", "Eviction")
_TOKEN_REQUEST: Final = GroupVersionKind("authentication.k8s.io", "v1", "TokenRequest")


def _created(call: Call, value: Object) -> Response:
    return answers.respond_value(201, value, Form(call.form.media), call.warnings)


async def bind(call: Call) -> Response:
    """POST of a Binding: the scheduler's word, after which a pod has a node.

    Raises:
        ApiError: 400, 404 or 409.
    """
    binding = read_object(call, _BINDING)
    target = fields.entries(binding.get("target"))
    node = target.get("name", "")
    if not node or target.get("kind") not in {"Node", "", None}:
        raise bad_request("Binding target must be a Node with a name")
    if not call.name:
        call = _on_pod(call, fields.entries(binding.get("metadata")).get("name", ""))
    await admitting.ask(call, _named(call, binding))
    old = existing(call)
    pod: Object = writing.copied(call.shown(old))
    said = fields.entries(binding.get("metadata"))
    if said.get("uid") and said["uid"] != pod["metadata"]["uid"]:
        raise conflict(deleting.PODS, call.name, f"Precondition failed: UID in precondition: {said['uid']}")
    if pod["metadata"].get("deletionTimestamp"):
        raise conflict(deleting.PODS, call.name, f"pod {call.name} is being deleted, cannot be assigned to a host")
    if pod["spec"].get("nodeName"):
        already = f'pod {call.name} is already assigned to node "{pod["spec"]["nodeName"]}"'
        raise conflict(GroupResource("", "pods/binding"), call.name, already)
    pod["spec"]["nodeName"] = node
    _add_annotations(pod, fields.entries(said.get("annotations")))
    _add_topology(pod, call.state.storage.get(_NODES, "", node))
    _set_scheduled(pod, call.state.now())
    if not call.dry_run:
        call.state.storage.write(deleting.PODS, call.namespace, call.name, pod)
    return _created(call, _SUCCESS)


def _named(call: Call, obj: Object) -> Object:
    """A body with the name and namespace of the path, where it does not say them."""
    said = {name: part for name, part in fields.entries(obj.get("metadata")).items() if part}
    place = {"name": call.name, "namespace": call.namespace}
    return {**obj, "metadata": {**place, **said}}


def _add_annotations(pod: Object, annotations: Object) -> None:
    if annotations:
        pod["metadata"]["annotations"] = {**fields.entries(pod["metadata"].get("annotations")), **annotations}


def _add_topology(pod: Object, node: Object | None) -> None:
    """A pod is labelled with the zone and region of its node (admission plug-in PodTopologyLabels, KEP-4742)."""
    if node is None:
        return
    labels = fields.entries(node["metadata"].get("labels"))
    found: Object = {name: labels[name] for name in _TOPOLOGY if name in labels}
    if found:
        pod["metadata"]["labels"] = fields.entries(pod["metadata"].get("labels")) | found


def _on_pod(call: Call, name: str) -> Call:
    info = call.info
    single = RequestInfo("create", info.path, True, info.prefix, "", "v1", info.namespace, "pods", name, "binding")
    resource = call.state.registry.find("", "v1", "pods")
    assert resource is not None
    return Call(call.state, call.request, single, resource, call.user, call.form, call.warnings)


def _set_scheduled(pod: Object, now: str) -> None:
    status = pod.setdefault("status", {})
    generation = pod["metadata"].get("generation")
    condition: Object = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now}
    if generation is not None and any("observedGeneration" in one for one in fields.items(status.get("conditions"))):
        condition["observedGeneration"] = generation
    others = [one for one in fields.items(status.get("conditions")) if one.get("type") != "PodScheduled"]
    status["conditions"] = [*others, condition]


async def evict(call: Call) -> Response:
    """POST of an Eviction: a deletion that disruption budgets may refuse.

    Raises:
        ApiError: 400, 404 or 429.
    """
    eviction = await admitting.ask(call, _named(call, read_object(call, _EVICTION)))
    old = existing(call)
    pod = call.shown(old)
    said = fields.entries(eviction.get("metadata")).get("name", call.name)
    if said != call.name:
        raise bad_request("name in URL does not match name in Eviction object")
    _check_budgets(call, pod)
    asked = fields.entries(eviction.get("deleteOptions"))
    preconditions = fields.entries(asked.get("preconditions"))
    options = deleting.Options(
        asked.get("gracePeriodSeconds"),
        asked.get("propagationPolicy") or "",
        preconditions.get("uid", ""),
        preconditions.get("resourceVersion", ""),
        call.dry_run or "All" in fields.items(asked.get("dryRun")),
    )
    deleting.apply(deleting.one_of(call, call.namespace, call.name), old, options)
    return _created(call, _SUCCESS)


def _check_budgets(call: Call, pod: Object) -> None:

    phase = fields.entries(pod.get("status")).get("phase")
    if phase in {"Pending", "Succeeded", "Failed"} or pod["metadata"].get("deletionTimestamp"):
        return
    labels = fields.entries(pod["metadata"].get("labels"))
    for budget in call.state.storage.list(GroupResource("policy", "poddisruptionbudgets"), call.namespace):
        selector = fields.entries(budget.get("spec")).get("selector")
        allowed = fields.entries(budget.get("status")).get("disruptionsAllowed", 0)
        if selector is not None and matches(selector, labels) and allowed < 1:
            name = budget["metadata"]["name"]
            cause = {"reason": "DisruptionBudget", "message": f"The disruption budget {name} does not allow it now"}
            raise ApiError(
                429,
                "TooManyRequests",
                "Cannot evict pod as it would violate the pod's disruption budget.",
                {"causes": [cause]},
            )


async def token(call: Call) -> Response:
    """POST of a TokenRequest: a fresh token of a service account.

    Raises:
        ApiError: 400, 404, 409 or 422; 500 where the server has no key to sign with.
    """
    state = call.state
    review = await admitting.ask(call, _named(call, read_object(call, _TOKEN_REQUEST)))
    account = existing(call).obj
    spec = tokens.requested(review, state.settings.issuer)
    if state.keys is None:
        raise ApiError(500, "InternalError", "this server has no key for the tokens of service accounts")
    now = state.clock()
    token_id = str(uuid.UUID(int=state.draw(1 << 128), version=4))
    claims = tokens.claims(account, spec, state.storage, now=now, issuer=state.settings.issuer, token_id=token_id)
    granted = tokens.granted(account, spec, state.keys.sign(claims), now)
    return _created(call, owned_review(call, granted, review, _TOKEN_REQUEST))


def owned_review(call: Call, reply: Object, review: Object, gvk: GroupVersionKind) -> Object:
    """An answer that is never stored, with the ownership notes that the server makes all the same."""
    asked = {"kind": gvk.kind, "apiVersion": gvk.api_version, "metadata": {}} | review
    entries = managed.track_update(
        None,
        asked,
        call.state.schema_of(gvk),
        manager=call.manager,
        api_version=gvk.api_version,
        subresource=call.info.subresource,
        now=call.state.now(),
    )
    if not entries:
        return reply
    return {**reply, "metadata": {**reply["metadata"], "managedFields": entries}}


def finalize(call: Call) -> Response:
    """PUT of a namespace to `finalize`: which finalizers are still to come.

    Raises:
        ApiError: 400, 404 or 409.
    """
    wanted = read_object(call)
    old = existing(call)
    before = call.shown(old)
    writing.check_preconditions(call, {"metadata": fields.entries(wanted.get("metadata"))}, before)
    obj: Object = writing.copied(before)
    finalizers = fields.items(fields.entries(wanted.get("spec")).get("finalizers"))
    obj["spec"] = {**fields.entries(obj.get("spec")), "finalizers": finalizers}
    if not finalizers:
        del obj["spec"]["finalizers"]
    if obj == before:
        return answer(call, old)
    if writing.is_released(obj, writing.NAMESPACES):
        return answer(call, writing.remove(call, obj))
    return answer(call, call.state.storage.write(writing.NAMESPACES, "", call.name, obj))
