"""Who may do what: roles and bindings as an index by subject, and one decision a request. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from kubelab.apiserver.builtin.fields import entries, items
from kubelab.apiserver.builtin.selectors import matches
from kubelab.apiserver.errors import ApiError, forbidden
from kubelab.apiserver.request import RequestInfo, User
from kubelab.apiserver.resources import Reader
from kubelab.objects import GroupResource, Object

GROUP: Final = "rbac.authorization.k8s.io"
ROLES: Final = GroupResource(GROUP, "roles")
ROLE_BINDINGS: Final = GroupResource(GROUP, "rolebindings")
CLUSTER_ROLES: Final = GroupResource(GROUP, "clusterroles")
CLUSTER_ROLE_BINDINGS: Final = GroupResource(GROUP, "clusterrolebindings")
TABLES: Final = frozenset({ROLES, ROLE_BINDINGS, CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS})
"""What a `Policy` is made from: it is stale when one of these changes."""
MASTERS: Final = "system:masters"
"""The group that may do everything, whatever the roles say."""
ACCOUNT: Final = "system:serviceaccount:"
"""Prefix of the user names of service accounts."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """What somebody wants to do: a verb on a resource, or on a path that is no resource."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @classmethod
    def of(cls, info: RequestInfo) -> Attributes:
        """What a request is about."""
        if not info.is_resource:
            return cls(info.verb, path=info.path)
        return cls(info.verb, info.group, info.resource, info.subresource, info.namespace, info.name)

    @property
    def full_resource(self) -> str:
        """`services`, `services/status`."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


class Decision(NamedTuple):
    """Whether something is allowed, and by which binding; an empty reason where there is none to give."""

    allowed: bool
    reason: str = ""


_DENIED: Final = Decision(allowed=False)


class Rule(NamedTuple):
    """A PolicyRule, as sets."""

    verbs: frozenset[str]
    groups: frozenset[str]
    resources: frozenset[str]
    names: frozenset[str]
    paths: frozenset[str]

    @classmethod
    def of(cls, rule: Object) -> Rule:
        """From an object's rule."""
        parts = ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")
        return cls(*(frozenset(items(rule.get(part))) for part in parts))

    def allows(self, wanted: Attributes) -> bool:
        """Whether this rule alone allows it."""
        if wanted.verb not in self.verbs and "*" not in self.verbs:
            return False
        if wanted.path:
            return any(_path_matches(pattern, wanted.path) for pattern in self.paths)
        if wanted.group not in self.groups and "*" not in self.groups:
            return False
        if not self._resource_matches(wanted):
            return False
        return not self.names or wanted.name in self.names

    def _resource_matches(self, wanted: Attributes) -> bool:
        resources = self.resources
        if "*" in resources or wanted.full_resource in resources:
            return True
        return bool(wanted.subresource) and f"*/{wanted.subresource}" in resources


def _path_matches(pattern: str, path: str) -> bool:
    return pattern in ("*", path) or (pattern.endswith("*") and path.startswith(pattern[:-1]))


def allowed(rules: Iterable[Object], wanted: Attributes) -> bool:
    """Whether any of some rules allows it."""
    return any(Rule.of(rule).allows(wanted) for rule in rules)


class _Grant(NamedTuple):
    """One binding for one subject."""

    rules: tuple[Rule, ...]
    raw: tuple[Object, ...]
    reason: str


_Subject: TypeAlias = tuple[str, str]
"""Kind and name; a service account's name is that of its user."""


class Policy:
    """All roles and bindings of a cluster, indexed by subject: deciding costs what the subject's own bindings cost."""

    def __init__(
        self,
        cluster_roles: Iterable[Object],
        roles: Iterable[Object],
        cluster_role_bindings: Iterable[Object],
        role_bindings: Iterable[Object],
    ) -> None:
        clusterwide = list(cluster_roles)
        self._roles: dict[tuple[str, str, str], tuple[Object, ...]] = {
            ("ClusterRole", "", role["metadata"]["name"]): tuple(effective_rules(role, clusterwide))
            for role in clusterwide
        }
        for role in roles:
            metadata = role["metadata"]
            self._roles["Role", metadata["namespace"], metadata["name"]] = tuple(items(role.get("rules")))
        self._compiled: dict[int, tuple[Rule, ...]] = {}
        self._cluster: dict[_Subject, list[_Grant]] = defaultdict(list)
        self._namespaced: dict[str, dict[_Subject, list[_Grant]]] = defaultdict(lambda: defaultdict(list))
        for binding in cluster_role_bindings:
            self._add(binding, "")
        for binding in role_bindings:
            self._add(binding, binding["metadata"]["namespace"])

    @classmethod
    def read(cls, reader: Reader) -> Policy:
        """From what is stored."""
        return cls(*(reader.list(table) for table in (CLUSTER_ROLES, ROLES, CLUSTER_ROLE_BINDINGS, ROLE_BINDINGS)))

    def _add(self, binding: Object, namespace: str) -> None:
        reference = entries(binding.get("roleRef"))
        kind, name = reference.get("kind", ""), reference.get("name", "")
        raw = self._roles.get((kind, namespace if kind == "Role" else "", name))
        if raw is None:
            return
        rules = self._compiled.setdefault(id(raw), tuple(Rule.of(rule) for rule in raw))
        table = self._namespaced[namespace] if namespace else self._cluster
        shown = f"{binding['metadata']['name']}/{namespace}" if namespace else binding["metadata"]["name"]
        scope = "RoleBinding" if namespace else "ClusterRoleBinding"
        for subject in items(binding.get("subjects")):
            key, words = _subject(subject, namespace)
            reason = f'RBAC: allowed by {scope} "{shown}" of {kind} "{name}" to {words}'
            table[key].append(_Grant(rules, raw, reason))

    def decide(self, user: User, wanted: Attributes) -> Decision:
        """Whether somebody may do something."""
        if MASTERS in user.groups:
            return Decision(allowed=True)
        for grant in self._grants(user, wanted.namespace):
            if any(rule.allows(wanted) for rule in grant.rules):
                return Decision(allowed=True, reason=grant.reason)
        return _DENIED

    def rules_of(self, user: User, namespace: str) -> list[Object]:
        """All rules that hold for somebody in a namespace (and everywhere)."""
        if MASTERS in user.groups:
            return [
                {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
                {"verbs": ["*"], "nonResourceURLs": ["*"]},
            ]
        return [rule for grant in self._grants(user, namespace) for rule in grant.raw]

    def rules_of_role(self, kind: str, namespace: str, name: str) -> tuple[Object, ...] | None:
        """The rules a role stands for; None if there is no such role."""
        return self._roles.get((kind, namespace if kind == "Role" else "", name))

    def _grants(self, user: User, namespace: str) -> Iterator[_Grant]:
        subjects: list[_Subject] = [("User", user.name), *(("Group", group) for group in user.groups)]
        for subject in subjects:
            yield from self._cluster.get(subject, ())
        table = self._namespaced.get(namespace) if namespace else None
        if table is not None:
            for subject in subjects:
                yield from table.get(subject, ())


def _subject(subject: Object, namespace: str) -> tuple[_Subject, str]:
    kind, name = subject.get("kind", ""), subject.get("name", "")
    if kind == "ServiceAccount":
        space = subject.get("namespace") or namespace
        # A service account is a user by another name.
        return ("User", f"{ACCOUNT}{space}:{name}"), f'ServiceAccount "{name}/{space}"'
    return (kind, name), f'{kind} "{name}"'


def effective_rules(role: Object, cluster_roles: Iterable[Object]) -> list[Object]:
    """A ClusterRole's rules: its own, or those of all roles that its aggregation rule selects, each once."""
    selectors = items(entries(role.get("aggregationRule")).get("clusterRoleSelectors"))
    if not selectors:
        return list(items(role.get("rules")))
    found: list[Object] = []
    for other in sorted(cluster_roles, key=lambda one: str(one["metadata"]["name"])):
        labels = entries(other["metadata"].get("labels"))
        if other is not role and any(matches(selector, labels) for selector in selectors):
            found += [rule for rule in items(other.get("rules")) if rule not in found]
    return found


def denied(user: User, wanted: Attributes) -> ApiError:
    """The refusal of something that is not allowed, as the server words it."""
    if wanted.path:
        return ApiError(
            403, "Forbidden", f'forbidden: User "{user.name}" cannot {wanted.verb} path "{wanted.path}"', {}
        )
    scope = f'in the namespace "{wanted.namespace}"' if wanted.namespace else "at the cluster scope"
    what = f'resource "{wanted.full_resource}" in API group "{wanted.group}" {scope}'
    why = f'User "{user.name}" cannot {wanted.verb} {what}'
    return forbidden(GroupResource(wanted.group, wanted.resource), wanted.name, why)
