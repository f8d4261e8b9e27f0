"""The single manifest: all that `kubectl apply -k manifests` applies, in one file that can be had from anywhere."""

from __future__ import annotations

from typing import Final

from scripts.olm.bundle import written
from scripts.olm.source import Source

NAME: Final = "metallb-operator.yaml"
_NOTE: Final = "# The operator of MetalLB and all that it needs: kubectl apply -f metallb-operator.yaml\n"


def text(source: Source) -> str:
    """Every object, in the kustomization's order."""
    return _NOTE + "---\n".join(written(each) for each in source.objects)
