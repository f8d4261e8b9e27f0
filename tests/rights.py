"""What the manifests allow each process, held against what the processes have asked API servers for. Pure.

A right counts once for each verb, resource, scope and name that a rule gives. A refusal is an error where no rule of the
manifests would have prevented it: tests may take rights away, or have the processes live with the rules of others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from kubelab.askings import Asked

RBAC = Path(__file__).resolve().parents[1] / "manifests" / "rbac"
ACCOUNTS = ("manager-account", "controller", "speaker")
NAMESPACES = {"metallb-system", "openshift-operators"}
"""Where the processes run in tests."""

_REFUSALS = "what a refusal names is looked up before it is sent; in labs that is pools"
_BACKEND = "of a backend that was left: this version deploys one only"
UNUSED: dict[str, dict[str, str]] = {
    "manager-account": {
        "list": "API servers that do not stream lists, and after an outage",
        "patch events": "the same is told again, where something goes on for long",
        "securitycontextconstraints": "OpenShift only",
        "apiservers": "OpenShift only",
        "metallbs/finalizers": "asked for by an admission plugin, where the cluster has it",
        "podmonitors": "instead of service monitors",
        "create secrets": "the webhook's Secret was deleted",
        "delete secrets": _BACKEND,
        "delete validatingwebhookconfigurations": _BACKEND,
        "delete daemonsets": _BACKEND,
        "delete deployments": _BACKEND,
        "delete configmaps": _BACKEND,
        "delete services": _BACKEND,
        "delete networkpolicies": "policies are turned off",
    },
    "controller": {
        "list": "API servers that do not stream lists, and after an outage",
        "patch events": "the same is told again, where something goes on for long",
        "get bfdprofiles": _REFUSALS,
        "get bgpadvertisements": _REFUSALS,
        "get bgppeers": _REFUSALS,
        "get communities": _REFUSALS,
        "get l2advertisements": _REFUSALS,
    },
    "speaker": {
        "list": "API servers that do not stream lists, and after an outage",
        "patch events": "the same is told again, where something goes on for long",
    },
}
"""By account, the rights that no test needs to use, with the time when they are: a verb, a resource, or both."""


class Right(NamedTuple):
    """A verb on a resource; `everywhere` or in the process' own namespace; `name` empty: of any name."""

    verb: str
    group: str
    resource: str
    everywhere: bool
    name: str = ""

    def __str__(self) -> str:
        what = f"{self.verb} {self.group}/{self.resource}" + (f" {self.name}" if self.name else "")
        return what + (" (in all namespaces)" if self.everywhere else "")

    def covers(self, asked: Asked, own: str) -> bool:
        """Whether it is enough for that, asked by a process in the namespace `own`."""
        same = (self.verb, self.group, self.resource) == (asked.verb, asked.group, asked.resource)
        return same and (self.everywhere or asked.namespace == own) and self.name in {"", asked.name}


def granted() -> dict[str, set[Right]]:
    """By account, what the manifests allow."""
    objects = [each for file in RBAC.glob("*.yaml") for each in yaml.safe_load_all(file.read_text())]
    roles = {(each["kind"], each["metadata"]["name"]): each for each in objects if "rules" in each}
    found: dict[str, set[Right]] = {}
    for binding in (each for each in objects if "roleRef" in each):
        role = roles[binding["roleRef"]["kind"], binding["roleRef"]["name"]]
        for subject in binding["subjects"]:
            found.setdefault(subject["name"], set()).update(_rights(role["rules"], binding["kind"]))
    return found


def _rights(rules: list[dict[str, Any]], binding: str) -> Iterator[Right]:
    everywhere = binding == "ClusterRoleBinding"
    for rule in rules:
        for group in rule.get("apiGroups", []):
            for resource in rule.get("resources", []):
                for verb in rule["verbs"]:
                    for name in rule.get("resourceNames", [""]):
                        yield Right(verb, group, resource, everywhere, name)


def by_account(requests: Iterable[Asked]) -> dict[str, set[tuple[Asked, str]]]:
    """What MetalLB's processes asked for, each with the namespace of who asked."""
    found: dict[str, set[tuple[Asked, str]]] = {account: set() for account in ACCOUNTS}
    for asked in requests:
        *_, namespace, account = asked.user.split(":")
        if namespace in NAMESPACES and account in found:
            found[account].add((asked, namespace))
    return found


def missing(requests: Iterable[Asked]) -> list[str]:
    """What was refused, and had been refused under the manifests' rules, too."""
    rights = granted()
    return sorted(
        f"{account} has no right to {asked.verb} {asked.group}/{asked.resource} {asked.name} "
        f"in {asked.namespace or 'all namespaces'}"
        for account, every in by_account(requests).items()
        for asked, own in every
        if asked.refused and not any(each.covers(asked, own) for each in rights[account])
    )


def unused(requests: Iterable[Asked]) -> list[str]:
    """Rights that nobody asked for, but for those with a reason."""
    used = by_account(requests)
    return sorted(
        f"{account} never uses its right to {right}"
        for account, rights in granted().items()
        if account in ACCOUNTS
        for right in rights
        if not _is_excused(account, right)
        if not any(right.covers(asked, own) for asked, own in used[account])
    )


def _is_excused(account: str, right: Right) -> bool:
    return not UNUSED[account].keys().isdisjoint({right.verb, right.resource, f"{right.verb} {right.resource}"})
