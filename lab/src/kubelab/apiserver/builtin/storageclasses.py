"""StorageClass: defaults."""

from __future__ import annotations

from kubelab.apiserver.builtin.kind import Kind, set_default
from kubelab.objects import Object


class StorageClassStrategy(Kind):
    """StorageClass (storage.k8s.io/v1)."""

    def default(self, obj: Object) -> None:
        """Volumes go with their claims and are bound at once."""
        set_default(obj, "reclaimPolicy", "Delete")
        set_default(obj, "volumeBindingMode", "Immediate")
