"""ConfigMap and Secret: keys, sizes, types, and those that never change."""

from __future__ import annotations

import base64
from typing import Final

from kubelab.apiserver.builtin import fields, names
from kubelab.apiserver.builtin.fields import entries
from kubelab.apiserver.builtin.kind import Kind, drop_empty
from kubelab.apiserver.errors import FieldError
from kubelab.apiserver.resources import Context
from kubelab.objects import Object

_LARGEST_BYTES: Final = 1 << 20
_IMMUTABLE: Final = "field is immutable when `immutable` is set"
# Each type of Secret, and the keys it can't be without.
_NEEDED: Final = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}


def _frozen_errors(obj: Object, old: Object, *parts: str) -> list[FieldError]:
    if not old.get("immutable"):
        return []
    errors: list[FieldError] = []
    if not obj.get("immutable"):
        errors.append(fields.forbidden("immutable", _IMMUTABLE))
    changed = [part for part in parts if entries(obj.get(part)) != entries(old.get(part))]
    return errors + [fields.forbidden(part, _IMMUTABLE) for part in changed]


class ConfigMapStrategy(Kind):
    """ConfigMap (core/v1)."""

    def default(self, obj: Object) -> None:
        """Nothing but what is empty goes."""
        drop_empty(obj, "data", "binaryData")

    def rules(self, obj: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """Keys are file names; all of it fits into one mebibyte."""
        errors: list[FieldError] = []
        size = 0
        data, binary = entries(obj.get("data")), entries(obj.get("binaryData"))
        for key, value in data.items():
            errors += names.syntax_errors(f"data[{key}]", key, names.config_key)
            if key in binary:
                errors.append(fields.invalid(f"data[{key}]", key, "duplicate of key present in binaryData"))
            size += len(value.encode())
        for key, value in binary.items():
            errors += names.syntax_errors(f"binaryData[{key}]", key, names.config_key)
            size += len(value) * 3 // 4
        if size > _LARGEST_BYTES:
            errors.append(fields.too_long("", _LARGEST_BYTES))
        return errors

    def update_rules(self, obj: Object, old: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """An immutable one stays as it is."""
        return _frozen_errors(obj, old, "data", "binaryData")


class SecretStrategy(Kind):
    """Secret (core/v1)."""

    def default(self, obj: Object) -> None:
        """Opaque unless it says more; what was written in clear is stored encoded."""
        if not obj.get("type"):
            obj["type"] = "Opaque"
        clear = entries(obj.pop("stringData", None))
        if clear:
            encoded = {key: base64.b64encode(value.encode()).decode() for key, value in clear.items()}
            obj["data"] = {**entries(obj.get("data")), **encoded}
        drop_empty(obj, "data")

    def rules(self, obj: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """Keys are file names; all of it fits into one mebibyte; a type has what it is for."""
        errors: list[FieldError] = []
        data = entries(obj.get("data"))
        for key in data:
            errors += names.syntax_errors(f"data[{key}]", key, names.config_key)
        if sum(len(value or "") for value in data.values()) * 3 // 4 > _LARGEST_BYTES:
            errors.append(fields.too_long("data", _LARGEST_BYTES))
        needed = _NEEDED.get(obj["type"], ())
        errors += [fields.required(f"data[{key}]") for key in needed if key not in data]
        if obj["type"] == "kubernetes.io/basic-auth" and not {"username", "password"} & set(data):
            errors += [fields.required(f"data[{key}]") for key in ("username", "password")]
        account = "kubernetes.io/service-account.name"
        if obj["type"] == "kubernetes.io/service-account-token":
            annotations = entries(obj["metadata"].get("annotations"))
            errors += [] if annotations.get(account) else [fields.required(f"metadata.annotations[{account}]")]
        return errors

    def update_rules(self, obj: Object, old: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """The type stays; an immutable one stays as it is."""
        return [*fields.immutable("type", obj["type"], old.get("type")), *_frozen_errors(obj, old, "data")]
