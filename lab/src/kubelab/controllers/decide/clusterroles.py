"""ClusterRole aggregation: a role whose rules are those of all roles that its selectors name."""

from __future__ import annotations

from collections.abc import Iterable

from kubelab.controllers.decide.resources import CLUSTER_ROLES
from kubelab.controllers.decide.selectors import labels_of, matches
from kubelab.controllers.decide.writes import Decision, Patch
from kubelab.objects import Object


def is_aggregated(role: Object) -> bool:
    """Whether a role gathers its rules from others."""
    return bool(role.get("aggregationRule"))


def concerns(role: Object, *others: Object | None) -> bool:
    """Whether a change of another role, before or after, may change an aggregated one."""
    return any(other is not None and _selects(role, other) for other in others)


def _selects(role: Object, other: Object) -> bool:
    selectors = role["aggregationRule"].get("clusterRoleSelectors") or []
    return any(matches(selector, labels_of(other)) for selector in selectors)


def decide(role: Object, others: Iterable[Object]) -> Decision:
    """The gathered rules, by the names of the roles they come from, each once."""
    name = role["metadata"]["name"]
    rules: list[Object] = []
    for other in sorted(others, key=lambda other: str(other["metadata"]["name"])):
        if other["metadata"]["name"] != name and _selects(role, other):
            rules += [rule for rule in other.get("rules") or [] if rule not in rules]
    if rules == (role.get("rules") or []):
        return Decision()
    guard = {"resourceVersion": role["metadata"]["resourceVersion"]}
    return Decision((Patch(CLUSTER_ROLES, "", name, {"metadata": guard, "rules": rules}),))
