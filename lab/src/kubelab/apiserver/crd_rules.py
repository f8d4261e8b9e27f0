"""CustomResourceDefinition: defaults and rules (apiextensions-apiserver `validation`)."""

from __future__ import annotations

import re
from typing import Any, Final

from kubelab.apiserver.builtin import fields, names
from kubelab.apiserver.builtin.kind import Kind, set_default
from kubelab.apiserver.conversion_rules import bundle_errors, conversion_errors
from kubelab.apiserver.crd import is_established
from kubelab.apiserver.errors import FieldError
from kubelab.apiserver.resources import Context
from kubelab.apiserver.schema import structural
from kubelab.apiserver.schema.rules import Evaluator, NoEvaluator, has_rules
from kubelab.objects import Object

_COLUMN_TYPES: Final = ("integer", "number", "string", "boolean", "date")
_COLUMN_FORMATS: Final = ("int32", "int64", "float", "double", "byte", "date", "date-time", "password")
_PATH: Final = re.compile(r"(\.[A-Za-z_][A-Za-z0-9_-]*)+")


class DefinitionStrategy(Kind):
    """CustomResourceDefinition (apiextensions.k8s.io/v1)."""

    has_generation = True

    def __init__(self, evaluator: Evaluator | None = None) -> None:
        self._evaluator = evaluator or NoEvaluator()

    def default(self, obj: Object) -> None:
        """Names that follow from the kind; no conversion."""
        spec: Object = obj.setdefault("spec", {})
        given: Object = spec.setdefault("names", {})
        kind = given.get("kind", "")
        if kind:
            set_default(given, "singular", kind.lower())
            set_default(given, "listKind", f"{kind}List")
        set_default(spec, "conversion", {"strategy": "None"})
        set_default(spec["conversion"], "strategy", "None")
        _default_webhook(spec["conversion"])
        if spec.get("preserveUnknownFields") is False:
            del spec["preserveUnknownFields"]

    def prepare_create(self, obj: Object, context: Context) -> None:  # noqa: ARG002  # a protocol's arguments
        """No names are accepted yet; the storage version is stored."""
        obj["status"] = {
            "conditions": None,
            "acceptedNames": {"plural": "", "kind": ""},
            "storedVersions": [one["name"] for one in _versions(obj) if one.get("storage")],
        }

    def prepare_update(self, obj: Object, old: Object, context: Context) -> None:  # noqa: ARG002  # a protocol's arguments
        """Remember every version that objects were ever stored in."""
        if context.subresource == "status":
            return
        status = dict(fields.entries(obj.get("status")))
        stored = list(fields.items(status.get("storedVersions")))
        stored += [one["name"] for one in _versions(obj) if one.get("storage") and one["name"] not in stored]
        obj["status"] = {**status, "storedVersions": stored}

    def rules(self, obj: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """Names, versions and their schemas."""
        spec = obj["spec"]
        found = _name_errors(obj, spec)
        versions = _version_errors(spec)
        found += versions or _validation_rule_errors(spec, self._evaluator)
        found += conversion_errors(spec["conversion"])
        return found

    def update_rules(self, obj: Object, old: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """What identifies the objects stays once they are served."""
        spec, before = obj["spec"], old["spec"]
        found: list[FieldError] = []
        if is_established(old):
            found += fields.immutable("spec.scope", spec.get("scope"), before.get("scope"))
            found += fields.immutable("spec.names.kind", spec["names"].get("kind"), before["names"].get("kind"))
        found += fields.immutable("spec.group", spec.get("group"), before.get("group"))
        found += fields.immutable("spec.names.plural", spec["names"].get("plural"), before["names"].get("plural"))
        found += bundle_errors(spec["conversion"], fields.entries(before.get("conversion")))
        known = {one["name"] for one in _versions(obj)}
        for number, version in enumerate(fields.items(fields.entries(obj.get("status")).get("storedVersions"))):
            if version not in known:
                detail = "missing from spec.versions; "
                detail += f"{version} was previously a storage version, and must remain in spec.versions until a "
                detail += "storage migration ensures no data remains persisted in "
                detail += f"{version} and removes {version} from status.storedVersions"
                found.append(fields.invalid(f"status.storedVersions[{number}]", version, detail))
        return found


def _versions(obj: Object) -> list[Object]:
    return fields.items(fields.entries(obj.get("spec")).get("versions"))


def _default_webhook(conversion: Object) -> None:
    service = fields.entries(fields.entries(conversion.get("webhook")).get("clientConfig")).get("service")
    if isinstance(service, dict):
        set_default(service, "port", 443)


def _name_errors(obj: Object, spec: Object) -> list[FieldError]:
    found: list[FieldError] = []
    group, given = spec.get("group", ""), spec["names"]
    plural = given.get("plural", "")
    name = obj["metadata"].get("name", "")
    if name != f"{plural}.{group}":
        found.append(fields.invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group'))
    if not group:
        found.append(fields.required("spec.group"))
    elif "." not in group:
        found.append(fields.invalid("spec.group", group, "should be a domain with at least one dot"))
    else:
        found += names.syntax_errors("spec.group", group, names.dns_subdomain)
    if spec.get("scope") not in {"Cluster", "Namespaced"}:
        missing = not spec.get("scope")
        supported = ("Cluster", "Namespaced")
        found.append(
            fields.required("spec.scope") if missing else fields.unsupported("spec.scope", spec["scope"], supported)
        )
    for part in ("plural", "singular", "kind", "listKind"):
        value = given.get(part, "")
        if not value:
            found.append(fields.required(f"spec.names.{part}"))
        else:
            found += names.syntax_errors(f"spec.names.{part}", value.lower(), names.dns_label_1035)
    for number, short in enumerate(fields.items(given.get("shortNames"))):
        found += names.syntax_errors(f"spec.names.shortNames[{number}]", short, names.dns_label_1035)
    if given.get("kind") and given.get("kind") == given.get("listKind"):
        found.append(fields.invalid("spec.names.listKind", given["listKind"], "kind and listKind may not be the same"))
    return found


def _version_errors(spec: Object) -> list[FieldError]:
    versions = fields.items(spec.get("versions"))
    found: list[FieldError] = []
    if not versions:
        found.append(fields.required("spec.versions", "must have at least one version"))
    seen: set[str] = set()
    stored = 0
    for number, version in enumerate(versions):
        path = f"spec.versions[{number}]"
        name = version.get("name", "")
        found += names.syntax_errors(f"{path}.name", name, names.dns_label_1035)
        if name in seen:
            found.append(fields.invalid("spec.versions", name, "must contain unique version names"))
        seen.add(name)
        stored += bool(version.get("storage"))
        found += _one_version_errors(version, path, _schema_path(versions, path))
    if versions and stored != 1:
        found.append(
            fields.invalid("spec.versions", versions, "must have exactly one version marked as storage version")
        )
    return found


def _schema_path(versions: list[Object], path: str) -> str:
    """Where the internal version keeps a schema: once for all versions if they share it."""
    schemas = [fields.entries(one.get("schema")) for one in versions]
    shared = all(one == schemas[0] for one in schemas)
    return "spec.validation.openAPIV3Schema" if shared else f"{path}.schema.openAPIV3Schema"


def _validation_rule_errors(spec: Object, evaluator: Evaluator) -> list[FieldError]:
    """Validation rules that do not compile; of a schema that versions share, once."""
    versions = fields.items(spec.get("versions"))
    found: list[FieldError] = []
    for number, version in enumerate(versions):
        schema = structural.schema_of(version["schema"]["openAPIV3Schema"])
        if has_rules(schema):
            found += evaluator.compile_errors(schema, _schema_path(versions, f"spec.versions[{number}]"))
    return list(dict.fromkeys(found))


def _one_version_errors(version: Object, path: str, schema_path: str) -> list[FieldError]:
    found: list[FieldError] = []
    schema: Any = fields.entries(version.get("schema")).get("openAPIV3Schema")
    if schema is None:
        found.append(fields.required(f"{path}.schema.openAPIV3Schema", "schemas are required"))
    else:
        found += structural.check(schema, schema_path)
    scale = fields.entries(version.get("subresources")).get("scale")
    if isinstance(scale, dict):
        found += _scale_errors(scale, f"{path}.subresources.scale")
    for number, column in enumerate(fields.items(version.get("additionalPrinterColumns"))):
        found += _column_errors(column, f"{path}.additionalPrinterColumns[{number}]")
    return found


def _scale_errors(scale: Object, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for name, root in (("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")):
        value = scale.get(name, "")
        if not value:
            found.append(fields.required(f"{path}.{name}"))
        elif not _PATH.fullmatch(value) or not value.startswith(root):
            found.append(fields.invalid(f"{path}.{name}", value, f"should be a json path under {root[:-1]}"))
    return found


def _column_errors(column: Object, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    if not column.get("name"):
        found.append(fields.required(f"{path}.name"))
    if not column.get("type"):
        found.append(fields.required(f"{path}.type", "must be one of " + ",".join(sorted(_COLUMN_TYPES))))
    elif column["type"] not in _COLUMN_TYPES:
        detail = "must be one of " + ",".join(sorted(_COLUMN_TYPES))
        found.append(fields.invalid(f"{path}.type", column["type"], detail))
    if column.get("format") and column["format"] not in _COLUMN_FORMATS:
        detail = "must be one of " + ",".join(sorted(_COLUMN_FORMATS))
        found.append(fields.invalid(f"{path}.format", column["format"], detail))
    if not column.get("jsonPath"):
        found.append(fields.required(f"{path}.jsonPath"))
    return found
