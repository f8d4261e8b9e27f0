"""Label selectors and node selectors: does it match? (API reference: LabelSelector, NodeSelector)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from kubelab.objects import Object

Labels = Mapping[str, str]


def labels_of(obj: Object) -> Labels:
    """An object's labels."""
    return obj["metadata"].get("labels") or {}


def matches(selector: Object | None, labels: Labels) -> bool:
    """Whether a LabelSelector selects these labels; a missing one selects nothing, an empty one everything."""
    if selector is None:
        return False
    return matches_map(selector.get("matchLabels") or {}, labels) and all(
        matches_requirement(requirement, labels) for requirement in selector.get("matchExpressions") or []
    )


def matches_map(wanted: Labels, labels: Labels) -> bool:
    """Whether all of `wanted` are among the labels."""
    return all(labels.get(key) == value for key, value in wanted.items())


def matches_requirement(requirement: Object, labels: Labels) -> bool:
    """One expression: In, NotIn, Exists, DoesNotExist, and for nodes Gt and Lt. An unknown operator matches nothing."""
    value, values = labels.get(requirement["key"]), requirement.get("values") or []
    test = _OPERATORS.get(str(requirement.get("operator")))
    return test is not None and test(value, values)


def _compared(value: str | None, values: list[str], sign: int) -> bool:
    number, bound = _number(value), _number(values[0] if values else None)
    return number is not None and bound is not None and (number - bound) * sign > 0


_OPERATORS: dict[str, Callable[[str | None, list[str]], bool]] = {
    "In": lambda value, values: value in values,
    "NotIn": lambda value, values: value not in values,
    "Exists": lambda value, _: value is not None,
    "DoesNotExist": lambda value, _: value is None,
    "Gt": lambda value, values: _compared(value, values, 1),
    "Lt": lambda value, values: _compared(value, values, -1),
}


def matches_node_term(term: Object, node: Object) -> bool:
    """One term of a node selector: all its expressions and fields; a term without any matches nothing."""
    expressions, fields = term.get("matchExpressions") or [], term.get("matchFields") or []
    if not expressions and not fields:
        return False
    known = {"metadata.name": str(node["metadata"]["name"])}
    return all(matches_requirement(requirement, labels_of(node)) for requirement in expressions) and all(
        matches_requirement(requirement, known) for requirement in fields
    )


def matches_node(pod_spec: Object, node: Object) -> bool:
    """Whether a pod's node selector and required node affinity admit a node."""
    if not matches_map(pod_spec.get("nodeSelector") or {}, labels_of(node)):
        return False
    terms = required_node_terms(pod_spec)
    return terms is None or any(matches_node_term(term, node) for term in terms)


def required_node_terms(pod_spec: Object) -> list[Object] | None:
    """The terms of the required node affinity, one of which must match; None if nothing is required."""
    affinity = (pod_spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return None if required is None else required.get("nodeSelectorTerms") or []


def pinned_nodes(pod_spec: Object) -> set[str] | None:
    """The only nodes a pod may go to by name (as a DaemonSet's pods have it); None if it is free to choose."""
    terms = required_node_terms(pod_spec)
    if not terms:
        return None
    names: set[str] = set()
    for term in terms:
        by_name = [f for f in term.get("matchFields") or [] if f["key"] == "metadata.name" and f["operator"] == "In"]
        if not by_name:
            return None
        names |= set.intersection(*(set(requirement.get("values") or []) for requirement in by_name))
    return names


def tolerates(toleration: Object, taint: Object) -> bool:
    """Whether one toleration covers a taint."""
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    key = toleration.get("key") or ""
    if key and key != taint.get("key"):
        return False
    if toleration.get("operator") == "Exists":
        return True
    return bool(key) and (toleration.get("value") or "") == (taint.get("value") or "")


def untolerated(tolerations: Iterable[Object], taints: Iterable[Object], effects: set[str]) -> list[Object]:
    """The taints of these effects that nothing covers."""
    known = list(tolerations)
    return [
        taint
        for taint in taints
        if taint.get("effect") in effects and not any(tolerates(toleration, taint) for toleration in known)
    ]


def _number(text: str | None) -> int | None:
    try:
        return int(text or "")
    except ValueError:
        return None
