"""The Helm chart's templates, derived from `manifests/`; its values, notes and what is optional are written by hand.

`packaging/chart` has both; those that are generated say so in their first line.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import yaml

from metallb.api.kinds import KINDS
from metallb.api.schema import object_schema
from metallb.operator.validation import BACKENDS
from scripts.install.marks import Marks
from scripts.olm.source import MANIFESTS, PACKAGING, Object, Source, images, label_of, replaced

CHART: Final = PACKAGING / "chart"
NOTE: Final = (
    "{{- /* Generated from manifests by `make chart`: change it there, or in scripts/install/chart.py. */ -}}\n"
)
NAMESPACE: Final = "metallb-system"
_LABELS: Final = '{{- include "metallb-operator.labels" . | nindent +0 }}'
_SECTIONS: Final = {
    "metallb-operator-controller-manager": "operator",
    "metallb-operator-webhook-server": "webhookServer",
}
_CONDITIONS: Final = {
    "ServiceAccount": ".Values.serviceAccounts.create",
    "NetworkPolicy": ".Values.networkPolicies.enabled",
    "ClusterRole": ".Values.rbac.create",
    "ClusterRoleBinding": ".Values.rbac.create",
    "Role": ".Values.rbac.create",
    "RoleBinding": ".Values.rbac.create",
}
_FILES: Final = {
    "ServiceAccount": "serviceaccounts",
    "Secret": "secrets",
    "Service": "services",
    "Deployment": "deployments",
    "ValidatingWebhookConfiguration": "webhooks",
    "NetworkPolicy": "networkpolicies",
    "ClusterRole": "rbac",
    "ClusterRoleBinding": "rbac",
    "Role": "rbac",
    "RoleBinding": "rbac",
}


def files(source: Source) -> dict[str, str]:
    """The text of each generated file by its path below the chart."""
    found: dict[str, str] = {}
    for each in source.of(*_FILES):
        name = f"templates/{_FILES[each['kind']]}.yaml"
        found[name] = found.get(name, NOTE) + "---\n" + _template(each)
    for each in yaml.safe_load_all((MANIFESTS / "monitoring" / "metrics-reader.yaml").read_text()):
        name = "templates/metrics-reader.yaml"
        found[name] = found.get(name, NOTE) + "---\n" + _template(each, '(eq .Values.monitoring "podMonitors")')
    for each in source.definitions:
        found[f"templates/crds/{each['metadata']['name']}.yaml"] = NOTE + _definition(each)
    found["values.schema.json"] = json.dumps(values_schema(source), indent=2) + "\n"
    return dict(sorted(found.items()))


def image_values(source: Source) -> dict[str, str]:
    """What `images` in the chart's values must say, without a mirror."""
    return images(source.of("Deployment"))


def _definition(crd: Object) -> str:
    """A CRD among the templates, not in `crds/`: only so is it upgraded, and its webhook found in any namespace."""
    marks = Marks()
    made = replaced(crd, {NAMESPACE: marks.value("{{ .Release.Namespace }}")})
    labels = marks.lines(_LABELS)
    keep = marks.lines("{{- if .Values.crds.keep }}\nannotations:\n  helm.sh/resource-policy: keep\n{{- end }}")
    made["metadata"] = {"name": crd["metadata"]["name"], "labels": labels, **keep}
    made["metadata"] |= {key: value for key, value in crd["metadata"].items() if key not in made["metadata"]}
    return _when(".Values.crds.install", marks.text(made))


def _template(document: Object, condition: str = "") -> str:
    marks = Marks()
    made: Object = replaced(copy.deepcopy(document), {NAMESPACE: marks.value("{{ .Release.Namespace }}")})
    metadata = made["metadata"]
    metadata["labels"] = {**metadata.get("labels", {}), **marks.lines(_LABELS)}
    change = _CHANGES.get(document["kind"])
    if change:
        change(marks, made)
    condition = condition or _CONDITIONS.get(document["kind"], "")
    return _when(condition, marks.text(made)) if condition else marks.text(made)


def _when(condition: str, text: str) -> str:
    return f"{{{{- if {condition} }}}}\n{text}{{{{- end }}}}\n"


def _deployment(marks: Marks, made: Object) -> None:
    section = f".Values.{_SECTIONS[made['metadata']['name']]}"
    spec = made["spec"]
    spec["replicas"] = marks.value(f"{{{{ {section}.replicas }}}}")
    template = spec["template"]
    template["metadata"] |= marks.lines(_given(f"{section}.podAnnotations", "annotations"))
    pod = template["spec"]
    pod["nodeSelector"] |= marks.lines(
        f"{{{{- with {section}.nodeSelector }}}}\n{{{{- toYaml . | nindent +0 }}}}\n{{{{- end }}}}"
    )
    for name in ("tolerations", "affinity"):
        pod |= marks.lines(_given(f"{section}.{name}", name))
    for name in ("priorityClassName", "runtimeClassName"):
        pod |= marks.lines(f"{{{{- with {section}.{name} }}}}\n{name}: {{{{ . }}}}\n{{{{- end }}}}")
    for container in pod["containers"]:
        container["image"] = marks.value(_image(container["image"]))
        container["resources"] = marks.lines(f"{{{{- toYaml {section}.resources | nindent +0 }}}}")
        _arguments(marks, section, container)
        _environment(marks, section, container)


def _arguments(marks: Marks, section: str, container: Object) -> None:
    """The log level is a value; others may be added."""
    level = marks.value(f"--log-level={{{{ {section}.logLevel }}}}")
    container["args"] = [each for each in container["args"] if not each.startswith("--log-level=")] + [level]


def _environment(marks: Marks, section: str, container: Object) -> None:
    """Images are values, and so is what else an administrator sets there."""
    for each in container["env"]:
        if each["name"].endswith("_IMAGE"):
            each["value"] = marks.value(_image(each["value"]))
        if each["name"] == "METALLB_BGP_TYPE":
            each["value"] = marks.value(
                "{{ .Values.metallb.spec.bgpBackend | default "
                + json.dumps(each["value"])
                + ' | trimSuffix "-external" }}'
            )
    helper = "metallb-operator.environment"
    if section == ".Values.operator":
        container["env"].append(marks.lines(f'{{{{- include "{helper}" . | nindent +0 }}}}'))


def _image(image: str) -> str:
    return f"{{{{ .Values.images.{label_of(image)} | quote }}}}"


def _given(value: str, name: str) -> str:
    """A field where there is a value for it."""
    return f"{{{{- with {value} }}}}\n{name}:\n  {{{{- toYaml . | nindent +2 }}}}\n{{{{- end }}}}"


def _account(marks: Marks, made: Object) -> None:
    annotations = f'{{{{- with index .Values.serviceAccounts.annotations "{made["metadata"]["name"]}" }}}}'
    made["metadata"] |= marks.lines(f"{annotations}\nannotations:\n  {{{{- toYaml . | nindent +2 }}}}\n{{{{- end }}}}")
    made |= marks.lines(
        "{{- with .Values.imagePullSecrets }}\nimagePullSecrets:\n  {{- toYaml . | nindent +2 }}\n{{- end }}"
    )


def _policy(marks: Marks, made: Object) -> None:
    for rule in made["spec"].get("egress", []):
        port = "{{- with .Values.networkPolicies.apiServerPort }}\n- port: {{ . }}\n  protocol: TCP\n{{- end }}"
        rule["ports"].append(marks.lines(port))


_CHANGES: Final[Mapping[str, Callable[[Marks, Object], None]]] = {
    "Deployment": _deployment,
    "ServiceAccount": _account,
    "NetworkPolicy": _policy,
}


def values_schema(source: Source) -> Object:
    """What values may be: the part written by hand, the images of the manifests, the custom resource's `spec`."""
    made: Object = yaml.safe_load((CHART / "schema.yaml").read_text())
    kind = next(each for each in KINDS if each.name == "MetalLB")
    spec = copy.deepcopy(object_schema(kind)["properties"]["spec"])
    # The resource's webhook says the same, but the webhook server would be told of it before.
    spec["properties"]["bgpBackend"]["enum"] = ["", *BACKENDS]
    names = sorted(image_values(source))
    made["properties"]["images"] |= {
        "required": names,
        "properties": dict.fromkeys(names, made["definitions"]["image"]),
    }
    made["properties"]["metallb"]["properties"]["spec"] = _closed(spec)
    return made


def _closed(schema: Any) -> Any:
    """A schema of Kubernetes' as JSON Schema, in which a mistyped name is an error."""
    if isinstance(schema, Sequence) and not isinstance(schema, str):
        return [_closed(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]} | {k: v for k, v in schema.items() if k == "description"}
    made = {key: _closed(value) for key, value in _published(schema)}
    if isinstance(schema.get("properties"), Mapping) and schema.get("type") == "object":
        made.setdefault("additionalProperties", False)
    return made


def _published(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((key, value) for key, value in schema.items() if not key.startswith("x-kubernetes-") and key != "nullable")
