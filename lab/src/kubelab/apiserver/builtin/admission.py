"""Admission inside the server: what is added to objects, and what is refused, by plugins in the real server's order.

Two rounds, as the real server has them: `admit` may change an object, `judge` only refuses or warns. Webhooks stand
between the two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, TypeAlias

from kubelab.apiserver.builtin import podsecurity, scheduling
from kubelab.apiserver.builtin.fields import entries, items
from kubelab.apiserver.errors import ApiError, forbidden, not_found
from kubelab.apiserver.resources import Context
from kubelab.objects import GroupResource, Object

Operation = Literal["CREATE", "UPDATE", "DELETE"]

PODS: Final = GroupResource("", "pods")
NODES: Final = GroupResource("", "nodes")
NAMESPACES: Final = GroupResource("", "namespaces")
ACCOUNTS: Final = GroupResource("", "serviceaccounts")
PRIORITY_CLASSES: Final = GroupResource("scheduling.k8s.io", "priorityclasses")
RUNTIME_CLASSES: Final = GroupResource("node.k8s.io", "runtimeclasses")

_IMMORTAL: Final = frozenset({"default", "kube-system", "kube-public"})
_MIRROR: Final = "kubernetes.io/config.mirror"
_TOKEN_PATH: Final = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105  # a path
_TOKEN_LIFE_S: Final = 3607
_LETTERS: Final = "bcdfghjklmnpqrstvwxz2456789"
_TOLERATED_S: Final = 300
_NOT_READY: Final = "node.kubernetes.io/not-ready"
_UNREACHABLE: Final = "node.kubernetes.io/unreachable"

_Plugin: TypeAlias = Callable[[Object, Context], None]


def admit(operation: Operation, obj: Object, old: Object | None, context: Context) -> None:
    """The first round: complete an object that is about to be written (for DELETE: `obj` is what goes).

    Raises:
        ApiError: 403 or 404, it may not be written.
    """
    _namespace_lifecycle(operation, obj, old, context)
    if operation != "CREATE" or context.subresource:
        return
    for plugin in _ON_CREATE.get(context.resource.group_resource, ()):
        plugin(obj, context)


def judge(operation: Operation, obj: Object, old: Object | None, context: Context) -> list[str]:
    """The second round: refuse what may not be, and return warnings about the rest.

    Raises:
        ApiError: 403, it may not be written.
    """
    if operation == "DELETE" or context.subresource not in {"", "ephemeralcontainers"}:
        return []
    template = podsecurity.pod_of(context.resource.group_resource, obj)
    if template is None or (old is not None and podsecurity.pod_of(context.resource.group_resource, old) == template):
        return []
    namespace = context.get(NAMESPACES, "", context.namespace)
    labels = entries(entries(entries(namespace).get("metadata")).get("labels"))
    verdict = podsecurity.verdict(labels, template)
    if verdict.refusal and context.resource.group_resource == PODS:
        raise _forbidden(obj, context, verdict.refusal)
    return verdict.warnings


def _forbidden(obj: Object, context: Context, why: str) -> ApiError:
    metadata = obj["metadata"]
    # An object that will be named later is called by what its name will start with.
    name = metadata.get("name") or metadata.get("generateName") or ""
    return forbidden(context.resource.group_resource, name, why)


def _namespace_lifecycle(operation: Operation, obj: Object, old: Object | None, context: Context) -> None:
    resource = context.resource
    if resource.group_resource == NAMESPACES:
        if operation == "DELETE" and context.name in _IMMORTAL:
            raise forbidden(NAMESPACES, context.name, "this namespace may not be deleted")
        return
    if not resource.namespaced or operation == "DELETE" or old is not None:
        return
    namespace = context.get(NAMESPACES, "", context.namespace)
    if namespace is None:
        raise not_found(NAMESPACES, context.namespace)
    if entries(namespace.get("status")).get("phase") == "Terminating" or namespace["metadata"].get("deletionTimestamp"):
        why = f"unable to create new content in namespace {context.namespace} because it is being terminated"
        error = _forbidden(obj, context, why)
        message = f"namespace {context.namespace} is being terminated"
        cause = {"reason": "NamespaceTerminating", "message": message, "field": "metadata.namespace"}
        error.details = {**(error.details or {}), "causes": [cause]}
        raise error


def _service_account(pod: Object, context: Context) -> None:
    """Every pod runs as somebody, and finds its token at a known place (KEP-542)."""
    if _MIRROR in entries(pod["metadata"].get("annotations")):
        return
    spec = pod["spec"]
    name = spec.get("serviceAccountName") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    account = context.get(ACCOUNTS, context.namespace, name)
    if account is None:
        why = f'error looking up service account {context.namespace}/{name}: serviceaccount "{name}" not found'
        raise _forbidden(pod, context, why)
    if account.get("imagePullSecrets") and not spec.get("imagePullSecrets"):
        spec["imagePullSecrets"] = [dict(secret) for secret in account["imagePullSecrets"]]
    wanted = spec.get("automountServiceAccountToken")
    if wanted is None:
        wanted = account.get("automountServiceAccountToken")
    if wanted is not False:
        _mount_token(spec, context)


def _mount_token(spec: Object, context: Context) -> None:
    containers = [*items(spec.get("initContainers")), *items(spec.get("containers"))]
    bare = [one for one in containers if not any(_is_token_mount(mount) for mount in items(one.get("volumeMounts")))]
    if not bare:
        return
    name = "kube-api-access-" + "".join(_LETTERS[context.draw(len(_LETTERS))] for _ in range(5))
    for container in bare:
        mount = {"name": name, "readOnly": True, "mountPath": _TOKEN_PATH}
        container["volumeMounts"] = [*items(container.get("volumeMounts")), mount]
    spec["volumes"] = [*items(spec.get("volumes")), token_volume(name)]


def _is_token_mount(mount: Object) -> bool:
    return bool(mount.get("mountPath") == _TOKEN_PATH)


def token_volume(name: str) -> Object:
    """The volume with a pod's token, the cluster's certificate authority and the pod's namespace."""
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    sources = [
        {"serviceAccountToken": {"expirationSeconds": _TOKEN_LIFE_S, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [namespace]}},
    ]
    return {"name": name, "projected": {"sources": sources, "defaultMode": 0o644}}


def _taint_new_node(node: Object, context: Context) -> None:  # noqa: ARG001  # a plugin's arguments
    """Nothing is scheduled to a node before it is ready."""
    taint = {"key": _NOT_READY, "effect": "NoSchedule"}
    taints = items(node.setdefault("spec", {}).get("taints"))
    if not any(one.get("key") == _NOT_READY and one.get("effect") == "NoSchedule" for one in taints):
        node["spec"]["taints"] = [*taints, taint]


def _priority(pod: Object, context: Context) -> None:
    """A class's number for its name."""
    spec = pod["spec"]
    name = spec.get("priorityClassName") or ""
    found = _priority_class(name, context) if name else _default_class(context)
    if name and found is None:
        raise _forbidden(pod, context, f"no PriorityClass with name {name} was found")
    if found is not None:
        spec["priorityClassName"] = found["metadata"]["name"]
    value = entries(found).get("value", 0)
    given = spec.get("priority")
    if given is not None and given != value:
        why = (
            f"the integer value of priority ({given}) must not be provided in pod spec; "
            f"priority admission controller computed {value} from the given PriorityClass name"
        )
        raise _forbidden(pod, context, why)
    spec["priority"] = value
    spec["preemptionPolicy"] = entries(found).get("preemptionPolicy", "PreemptLowerPriority")


def _priority_class(name: str, context: Context) -> Object | None:
    found = context.get(PRIORITY_CLASSES, "", name)
    if found is None and name in scheduling.SYSTEM_CLASSES:
        return next(one for one in scheduling.system_priority_classes() if one["metadata"]["name"] == name)
    return found


def _default_class(context: Context) -> Object | None:
    """The class of pods that name none: of several defaults the lowest."""
    defaults = [one for one in context.list(PRIORITY_CLASSES) if one.get("globalDefault")]
    return min(defaults, key=lambda one: int(one.get("value", 0)), default=None)


def _tolerate_short_outages(pod: Object, context: Context) -> None:  # noqa: ARG001  # a plugin's arguments
    """A pod stays for five minutes on a node that is not ready or not reachable."""
    spec = pod["spec"]
    tolerations = list(items(spec.get("tolerations")))
    for key in (_NOT_READY, _UNREACHABLE):
        if not any(
            one.get("key") in (key, "", None) and one.get("effect") in ("NoExecute", "", None) for one in tolerations
        ):
            tolerations.append(
                {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _TOLERATED_S}
            )
    spec["tolerations"] = tolerations


def _runtime_class(pod: Object, context: Context) -> None:
    """The class exists; its overhead and node selector become the pod's (KEP-585, KEP-688)."""
    spec = pod["spec"]
    name = spec.get("runtimeClassName")
    if not name:
        return
    found = context.get(RUNTIME_CLASSES, "", name)
    if found is None:
        raise _forbidden(pod, context, f'pod rejected: RuntimeClass "{name}" not found')
    overhead = entries(entries(found.get("overhead")).get("podFixed"))
    if overhead:
        spec["overhead"] = dict(overhead)
    scheduling_rules = entries(found.get("scheduling"))
    selector, chosen = entries(scheduling_rules.get("nodeSelector")), entries(spec.get("nodeSelector"))
    for key, value in selector.items():
        if chosen.get(key, value) != value:
            why = f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; pod.spec.nodeSelector[{key}] = "
            raise _forbidden(pod, context, why + str(chosen[key]))
    if selector:
        spec["nodeSelector"] = {**chosen, **selector}
    if scheduling_rules.get("tolerations"):
        more = [one for one in scheduling_rules["tolerations"] if one not in items(spec.get("tolerations"))]
        spec["tolerations"] = [*items(spec.get("tolerations")), *more]


_ON_CREATE: Final[dict[GroupResource, tuple[_Plugin, ...]]] = {
    PODS: (_service_account, _priority, _tolerate_short_outages, _runtime_class),
    NODES: (_taint_new_node,),
}
