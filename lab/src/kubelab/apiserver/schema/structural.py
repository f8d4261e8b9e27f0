"""Custom types as rooms outside see them: a CustomResourceDefinition's schema in, a type or its faults out."""

from __future__ import annotations

from kubelab.apiserver.errors import FieldError
from kubelab.apiserver.schema.definition_rules import default_errors, schema_errors
from kubelab.apiserver.schema.reading import schema_of
from kubelab.apiserver.schema.structural_rules import structural_errors
from kubelab.apiserver.schema.wording import forbidden
from kubelab.objects import Object

__all__ = ["check", "schema_of"]


def check(openapi_v3_schema: Object, path: str = "spec.validation.openAPIV3Schema") -> list[FieldError]:
    """Every reason for which kube-apiserver refuses a version's schema, as it words and orders them.

    `path` is where the schema stands: `spec.validation.openAPIV3Schema` if all versions share one schema, else
    `spec.versions[N].schema.openAPIV3Schema`. Validation rules are looked at but not compiled.
    """
    errors: list[FieldError] = []
    if openapi_v3_schema.get("nullable"):
        errors.append(forbidden(f"{path}.nullable", "nullable cannot be true at the root"))
    errors += structural_errors(openapi_v3_schema, path) or default_errors(openapi_v3_schema, path)
    return errors + schema_errors(openapi_v3_schema, path)
