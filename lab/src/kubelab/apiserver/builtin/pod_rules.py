"""Rules of pod specs, in the order and words of kube-apiserver (core `ValidatePodSpec`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kubelab.apiserver.builtin import container_rules, fields, names, selectors
from kubelab.apiserver.builtin.annotations import annotation_errors
from kubelab.apiserver.builtin.fields import entries, items
from kubelab.apiserver.builtin.volume_rules import volume_errors
from kubelab.apiserver.errors import FieldError
from kubelab.objects import Object

_RESTART: Final = frozenset({"Always", "OnFailure", "Never"})
_DNS: Final = frozenset({"ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"})
_EFFECTS: Final = frozenset({"NoSchedule", "PreferNoSchedule", "NoExecute"})
_CHANGEABLE: Final = ("activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds")
_HEAVIEST: Final = 100
_WEIGHTS: Final = f"must be in the range 1-{_HEAVIEST}"
IMMUTABLE: Final = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def template_errors(template: Object, path: str, restart: Sequence[str]) -> list[FieldError]:
    """Every broken rule of a pod template with defaults (core `ValidatePodTemplateSpec`)."""
    metadata = entries(template.get("metadata"))
    errors = selectors.label_errors(metadata.get("labels"), f"{path}.labels")
    errors += annotation_errors(metadata.get("annotations"), f"{path}.annotations")
    return errors + spec_errors(template["spec"], f"{path}.spec", restart)


def spec_errors(spec: Object, path: str, restart: Sequence[str] = ()) -> list[FieldError]:
    """Every broken rule of a pod spec with defaults; `restart` are the restart policies that the owner can bear."""
    errors, volumes = volume_errors(items(spec.get("volumes")), f"{path}.volumes")
    errors += container_rules.containers_errors(spec, path, volumes)
    errors += _policy_errors(spec, path, restart)
    errors += selectors.label_errors(spec.get("nodeSelector"), f"{path}.nodeSelector")
    account = spec.get("serviceAccountName")
    if account:
        errors += names.syntax_errors(f"{path}.serviceAccountName", account, names.dns_subdomain)
    if spec.get("nodeName"):
        errors += names.syntax_errors(f"{path}.nodeName", spec["nodeName"], names.dns_subdomain)
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and deadline < 1:
        refused = "must be between 1 and 2147483647, inclusive"
        errors.append(fields.invalid(f"{path}.activeDeadlineSeconds", deadline, refused))
    for field in ("hostname", "subdomain"):
        if spec.get(field):
            errors += names.syntax_errors(f"{path}.{field}", spec[field], names.dns_label)
    for number, toleration in enumerate(items(spec.get("tolerations"))):
        errors += _toleration_errors(toleration, f"{path}.tolerations[{number}]")
    errors += _weight_errors(entries(spec.get("affinity")), f"{path}.affinity")
    if spec.get("priorityClassName"):
        errors += names.syntax_errors(f"{path}.priorityClassName", spec["priorityClassName"], names.dns_subdomain)
    if spec.get("runtimeClassName"):
        errors += names.syntax_errors(f"{path}.runtimeClassName", spec["runtimeClassName"], names.dns_subdomain)
    return errors


def _policy_errors(spec: Object, path: str, restart: Sequence[str]) -> list[FieldError]:
    errors: list[FieldError] = []
    policy = spec.get("restartPolicy", "")
    if policy not in _RESTART:
        errors.append(fields.unsupported(f"{path}.restartPolicy", policy, _RESTART))
    elif restart and policy not in restart:
        errors.append(fields.unsupported(f"{path}.restartPolicy", policy, restart))
    if spec.get("dnsPolicy", "") not in _DNS:
        errors.append(fields.unsupported(f"{path}.dnsPolicy", spec.get("dnsPolicy", ""), _DNS))
    grace = spec.get("terminationGracePeriodSeconds")
    if grace is not None and grace < 0:
        errors.append(fields.invalid(f"{path}.terminationGracePeriodSeconds", grace, names.NOT_NEGATIVE))
    return errors


def _weight_errors(affinity: Object, path: str) -> list[FieldError]:
    preferred = "preferredDuringSchedulingIgnoredDuringExecution"
    return [
        fields.invalid(f"{path}.{kind}.{preferred}[{number}].weight", term.get("weight", 0), _WEIGHTS)
        for kind in ("nodeAffinity", "podAffinity", "podAntiAffinity")
        for number, term in enumerate(items(entries(affinity.get(kind)).get(preferred)))
        if not 1 <= term.get("weight", 0) <= _HEAVIEST
    ]


def _toleration_errors(toleration: Object, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    key, operator = toleration.get("key") or "", toleration.get("operator") or ""
    effect = toleration.get("effect") or ""
    if key:
        errors += names.syntax_errors(f"{path}.key", key, names.qualified_name)
    if not key and operator != "Exists":
        refused = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
        errors.append(fields.invalid(f"{path}.operator", operator, refused))
    if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
        errors.append(
            fields.invalid(f"{path}.effect", effect, "effect must be 'NoExecute' when `tolerationSeconds` is set")
        )
    if operator == "Exists" and toleration.get("value"):
        refused = "value must be empty when `operator` is 'Exists'"
        errors.append(fields.invalid(f"{path}.operator", toleration["value"], refused))
    elif operator not in {"", "Equal", "Exists"}:
        errors.append(fields.unsupported(f"{path}.operator", operator, ("Equal", "Exists")))
    if effect and effect not in _EFFECTS:
        errors.append(fields.unsupported(f"{path}.effect", effect, _EFFECTS))
    return errors


def update_errors(spec: Object, old: Object) -> list[FieldError]:
    """What may change in a pod: images, a deadline, more tolerations, and nothing else."""
    errors: list[FieldError] = []
    if len(items(spec.get("containers"))) != len(items(old.get("containers"))):
        return [fields.forbidden("spec.containers", "pod updates may not add or remove containers")]
    if len(items(spec.get("initContainers"))) != len(items(old.get("initContainers"))):
        return [fields.forbidden("spec.initContainers", "pod updates may not add or remove containers")]
    held = [_timeless(toleration) for toleration in items(spec.get("tolerations"))]
    if any(_timeless(toleration) not in held for toleration in items(old.get("tolerations"))):
        errors.append(
            fields.forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")
        )
    if _fixed(spec) != _fixed(old):
        errors.append(fields.forbidden("spec", IMMUTABLE))
    return errors


def _timeless(toleration: Object) -> Object:
    return {key: value for key, value in toleration.items() if key != "tolerationSeconds"}


def _fixed(spec: Object) -> Object:
    kept = {key: value for key, value in spec.items() if key not in _CHANGEABLE}
    for field in ("containers", "initContainers"):
        kept[field] = [{**entries(container), "image": ""} for container in items(spec.get(field))]
    return kept
