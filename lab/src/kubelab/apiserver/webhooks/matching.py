"""Which webhooks a request is for, and in which version each wants to see it.

Source: apiserver `admission/plugin/webhook/{generic,predicates}`; admissionregistration.k8s.io/v1 (rules, matchPolicy,
selectors).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from kubelab.apiserver.builtin.fields import entries
from kubelab.apiserver.builtin.selectors import matches
from kubelab.apiserver.webhooks.attributes import Attributes, GroupVersionResource
from kubelab.apiserver.webhooks.hooks import Hook, Rule
from kubelab.objects import GroupVersionKind, Object

Labels = Mapping[str, str]
Equivalents = Callable[[], Iterable[tuple[GroupVersionResource, GroupVersionKind]]]
"""All versions of a request's resource, its own among them, with the kind of the body in each."""

_EXEMPT_GROUP: Final = "admissionregistration.k8s.io"
_NAMESPACES: Final = ("", "namespaces")


@dataclass(frozen=True, slots=True)
class Invocation:
    """A webhook that is to be asked, and the version in which it sees the request."""

    hook: Hook
    resource: GroupVersionResource
    kind: GroupVersionKind


def is_exempt(attributes: Attributes) -> bool:
    """Configurations of admission are never subject to webhooks: one that refuses all could not be removed."""
    return attributes.resource.group == _EXEMPT_GROUP


def invocation(hook: Hook, attributes: Attributes, equivalents: Equivalents) -> Invocation | None:
    """How a webhook is asked by its rules; None, they are not about this request."""
    if any(_applies(rule, attributes, attributes.resource) for rule in hook.rules):
        return Invocation(hook, attributes.resource, attributes.kind)
    if not hook.equivalent or not _could_be_equivalent(hook, attributes):
        return None
    others = [one for one in equivalents() if one[0] != attributes.resource]
    for rule in hook.rules:
        for resource, kind in others:
            if _applies(rule, attributes, resource):
                return Invocation(hook, resource, kind)
    return None


def _could_be_equivalent(hook: Hook, attributes: Attributes) -> bool:
    """Whether a rule fits in all but group and version: most don't, and then nobody looks for other versions."""
    return any(_names(rule, attributes.resource.resource, attributes.subresource) for rule in hook.rules)


def _applies(rule: Rule, attributes: Attributes, resource: GroupVersionResource) -> bool:
    return (
        _has(rule.groups, resource.group)
        and _has(rule.versions, resource.version)
        and _has(rule.operations, attributes.operation)
        and _names(rule, resource.resource, attributes.subresource)
        and _in_scope(rule, attributes, resource)
    )


def _has(values: frozenset[str], value: str) -> bool:
    return "*" in values or value in values


def _names(rule: Rule, resource: str, subresource: str) -> bool:
    return any(one in {"*", resource} and part in {"*", subresource} for one, part in rule.resources)


def _in_scope(rule: Rule, attributes: Attributes, resource: GroupVersionResource) -> bool:
    if rule.scope == "*":
        return True
    cluster = not attributes.namespace or (resource.group, resource.resource) == _NAMESPACES
    return cluster == (rule.scope == "Cluster")


def selects(hook: Hook, attributes: Attributes, namespace_labels: Callable[[], Labels]) -> bool:
    """Whether a webhook's selectors are about the object, as it is or as it was."""
    return _selects_namespace(hook, attributes, namespace_labels) and _selects_object(hook, attributes)


def _selects_namespace(hook: Hook, attributes: Attributes, namespace_labels: Callable[[], Labels]) -> bool:
    selector = hook.namespace_selector
    if not selector:
        return True
    if (attributes.resource.group, attributes.resource.resource) == _NAMESPACES:
        return matches(selector, labels_of(attributes.obj if attributes.obj is not None else attributes.old))
    return not attributes.namespace or matches(selector, namespace_labels())


def _selects_object(hook: Hook, attributes: Attributes) -> bool:
    selector = hook.object_selector
    if not selector:
        return True
    known = [one for one in (attributes.obj, attributes.old) if one is not None]
    return any(matches(selector, labels_of(one)) for one in known)


def labels_of(obj: Object | None) -> Labels:
    """An object's labels."""
    return entries(entries(entries(obj).get("metadata")).get("labels"))
