"""Namespace: its own label, its finalizer, its phase."""

from __future__ import annotations

from typing import ClassVar, Final

from kubelab.apiserver.builtin import names
from kubelab.apiserver.builtin.fields import entries
from kubelab.apiserver.builtin.kind import Kind
from kubelab.apiserver.resources import Context
from kubelab.objects import Object

_NAME_LABEL: Final = "kubernetes.io/metadata.name"


class NamespaceStrategy(Kind):
    """Namespace (core/v1)."""

    name_syntax: ClassVar[names.Syntax] = staticmethod(names.dns_label)

    def default(self, obj: Object) -> None:
        """Label it with its own name, so that selectors can name it."""
        metadata = obj["metadata"]
        if metadata.get("name"):
            metadata["labels"] = {**entries(metadata.get("labels")), _NAME_LABEL: metadata["name"]}
        obj.setdefault("spec", {})

    def prepare_create(self, obj: Object, context: Context) -> None:  # noqa: ARG002  # a protocol's arguments
        """Active, and to be emptied before it goes."""
        finalizers = entries(obj.get("spec")).get("finalizers") or []
        obj["spec"] = {"finalizers": list(dict.fromkeys([*finalizers, "kubernetes"]))}
        obj["status"] = {"phase": "Active"}

    def prepare_update(self, obj: Object, old: Object, context: Context) -> None:
        """Only `finalize` takes finalizers away."""
        if context.subresource != "finalize":
            obj["spec"] = old.get("spec", {})
