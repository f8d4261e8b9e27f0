"""Roles and bindings: defaults, rules, what may not change, and no grant beyond what its author holds."""

from __future__ import annotations

from typing import ClassVar, Final

from kubelab.apiserver.builtin import escalation, fields, names
from kubelab.apiserver.builtin.fields import items
from kubelab.apiserver.builtin.kind import Kind, drop_empty
from kubelab.apiserver.builtin.rbac import GROUP, MASTERS, Attributes, Policy
from kubelab.apiserver.builtin.selectors import selector_errors
from kubelab.apiserver.errors import FieldError, forbidden
from kubelab.apiserver.resources import Context
from kubelab.objects import Object

_ROLE_KINDS: Final = ["Role", "ClusterRole"]
_SUBJECT_GROUPS: Final = {"User": GROUP, "Group": GROUP, "ServiceAccount": ""}


class RoleStrategy(Kind):
    """Role; and ClusterRole, with paths that are no resources and aggregation."""

    name_syntax: ClassVar[names.Syntax] = staticmethod(names.path_segment)

    def __init__(self, *, cluster: bool) -> None:
        self._cluster = cluster

    def default(self, obj: Object) -> None:
        """Rules that are empty are null; parts of rules that are empty are absent."""
        obj["rules"] = items(obj.get("rules")) or None
        for rule in items(obj["rules"]):
            drop_empty(rule, "apiGroups", "resources", "resourceNames", "nonResourceURLs")
        drop_empty(obj, "aggregationRule")

    def prepare_create(self, obj: Object, context: Context) -> None:
        """Refuse a grant that its author does not hold."""
        self._check_grant(obj, None, context)

    def prepare_update(self, obj: Object, old: Object, context: Context) -> None:
        """The same, for what is new in it."""
        self._check_grant(obj, old, context)

    def _check_grant(self, obj: Object, old: Object | None, context: Context) -> None:
        same = old is not None and (obj.get("rules"), obj.get("aggregationRule")) == (
            old.get("rules"),
            old.get("aggregationRule"),
        )
        if same or MASTERS in context.user.groups:
            return
        policy = Policy.read(context.reader)
        if _may(policy, context, "escalate", context.resource.resource, obj["metadata"].get("name", "")):
            return
        wanted = list(items(obj.get("rules")))
        if obj.get("aggregationRule"):
            # Whoever selects roles by label may get the rules of any role to come.
            wanted += [
                {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
                {"nonResourceURLs": ["*"], "verbs": ["*"]},
            ]
        _refuse_missing(policy, context, obj, wanted)

    def rules(self, obj: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """Each rule is about resources or about paths, and says what may be done."""
        errors: list[FieldError] = []
        for number, rule in enumerate(items(obj.get("rules"))):
            errors += _rule_errors(rule, f"rules[{number}]", self._cluster)
        if self._cluster and obj.get("aggregationRule") is not None:
            errors += _aggregation_errors(obj["aggregationRule"])
        return errors


def _aggregation_errors(rule: Object) -> list[FieldError]:
    selectors = items(rule.get("clusterRoleSelectors"))
    path = "aggregationRule.clusterRoleSelectors"
    if not selectors:
        return [fields.required(path, "at least one clusterRoleSelector required if aggregationRule is non-nil")]
    return [
        error for number, selector in enumerate(selectors) for error in selector_errors(selector, f"{path}[{number}]")
    ]


def _rule_errors(rule: Object, path: str, cluster: bool) -> list[FieldError]:  # noqa: FBT001  # a private row of arguments
    errors: list[FieldError] = []
    if not rule.get("verbs"):
        errors.append(fields.required(f"{path}.verbs", "verbs must contain at least one value"))
    paths = items(rule.get("nonResourceURLs"))
    if paths:
        if not cluster:
            refused = "namespaced rules cannot apply to non-resource URLs"
            errors.append(fields.invalid(f"{path}.nonResourceURLs", paths, refused))
        if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
            refused = "rules cannot apply to both regular resources and non-resource URLs"
            errors.append(fields.invalid(f"{path}.nonResourceURLs", paths, refused))
        return errors
    if not rule.get("apiGroups"):
        errors.append(fields.required(f"{path}.apiGroups", "resource rules must supply at least one api group"))
    if not rule.get("resources"):
        errors.append(fields.required(f"{path}.resources", "resource rules must supply at least one resource"))
    return errors


class BindingStrategy(Kind):
    """RoleBinding and ClusterRoleBinding."""

    name_syntax: ClassVar[names.Syntax] = staticmethod(names.path_segment)

    def __init__(self, *, cluster: bool) -> None:
        self._cluster = cluster

    def default(self, obj: Object) -> None:
        """The API groups of role and subjects."""
        reference: Object = obj.setdefault("roleRef", {})
        if not reference.get("apiGroup"):
            reference["apiGroup"] = GROUP
        drop_empty(obj, "subjects")
        for subject in items(obj.get("subjects")):
            if not subject.get("apiGroup") and _SUBJECT_GROUPS.get(subject.get("kind", "")):
                subject["apiGroup"] = _SUBJECT_GROUPS[subject["kind"]]
            drop_empty(subject, "apiGroup", "namespace")

    def prepare_create(self, obj: Object, context: Context) -> None:
        """Refuse to bind to a role that one does not hold."""
        self._check_grant(obj, None, context)

    def prepare_update(self, obj: Object, old: Object, context: Context) -> None:
        """The same, for what is new in it."""
        self._check_grant(obj, old, context)

    def _check_grant(self, obj: Object, old: Object | None, context: Context) -> None:
        same = old is not None and (obj.get("roleRef"), obj.get("subjects")) == (
            old.get("roleRef"),
            old.get("subjects"),
        )
        if same or MASTERS in context.user.groups:
            return
        policy = Policy.read(context.reader)
        kind, name = obj["roleRef"].get("kind", ""), obj["roleRef"].get("name", "")
        resource = "roles" if kind == "Role" else "clusterroles"
        if _may(policy, context, "bind", resource, name):
            return
        rules = policy.rules_of_role(kind, context.namespace, name)
        if rules is None:
            resource = f"{resource}.{GROUP}"
            raise forbidden(
                context.resource.group_resource, obj["metadata"].get("name", ""), f'{resource} "{name}" not found'
            )
        _refuse_missing(policy, context, obj, list(rules))

    def rules(self, obj: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """A role that can exist, and subjects that can."""
        errors = _role_reference_errors(obj["roleRef"], self._cluster)
        for number, subject in enumerate(items(obj.get("subjects"))):
            errors += _subject_errors(subject, f"subjects[{number}]")
        return errors

    def update_rules(self, obj: Object, old: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """The role stays."""
        reference = obj["roleRef"]
        if reference == old["roleRef"]:
            return []
        shown = {part: reference.get(part[0].lower() + part[1:], "") for part in ("Kind", "Name")}
        return [fields.invalid("roleRef", {"APIGroup": reference.get("apiGroup", "")} | shown, "cannot change roleRef")]


def _role_reference_errors(reference: Object, cluster: bool) -> list[FieldError]:  # noqa: FBT001  # a private row of arguments
    errors: list[FieldError] = []
    if reference.get("apiGroup") != GROUP:
        errors.append(fields.unsupported("roleRef.apiGroup", reference.get("apiGroup"), [GROUP]))
    kinds = ["ClusterRole"] if cluster else _ROLE_KINDS
    if reference.get("kind") not in kinds:
        errors.append(fields.unsupported("roleRef.kind", reference.get("kind", ""), kinds))
    if not reference.get("name"):
        return [*errors, fields.required("roleRef.name")]
    return [*errors, *names.syntax_errors("roleRef.name", reference["name"], names.path_segment)]


def _subject_errors(subject: Object, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    kind, group = subject.get("kind", ""), subject.get("apiGroup", "")
    if not subject.get("name"):
        errors.append(fields.required(f"{path}.name"))
    if kind not in _SUBJECT_GROUPS:
        return [*errors, fields.unsupported(f"{path}.kind", kind, ["ServiceAccount", "User", "Group"])]
    if group != _SUBJECT_GROUPS[kind]:
        errors.append(fields.unsupported(f"{path}.apiGroup", group, [_SUBJECT_GROUPS[kind]]))
    if kind == "ServiceAccount":
        if subject.get("name"):
            errors += names.syntax_errors(f"{path}.name", subject["name"], names.dns_subdomain)
        if not subject.get("namespace"):
            errors.append(fields.required(f"{path}.namespace"))
    return errors


def _may(policy: Policy, context: Context, verb: str, resource: str, name: str) -> bool:
    wanted = Attributes(verb, GROUP, resource, namespace=context.namespace, name=name)
    return policy.decide(context.user, wanted).allowed


def _refuse_missing(policy: Policy, context: Context, obj: Object, wanted: list[Object]) -> None:
    lacking = escalation.missing(policy.rules_of(context.user, context.namespace), wanted)
    if lacking:
        why = escalation.refusal(context.user, lacking)
        raise forbidden(context.resource.group_resource, obj["metadata"].get("name", ""), why)
