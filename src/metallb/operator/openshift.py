"""What only OpenShift needs: the SecurityContextConstraints of speakers. Pure (spec/operator.md 2.5, 4.6)."""

from __future__ import annotations

from typing import Final

from metallb.operator.installation import Installation
from metallb.operator.parts import Object

SCC: Final = "metallb-speaker"
REQUIRED_SCC: Final = "openshift.io/required-scc"


def render(installation: Installation) -> list[Object]:
    """Nothing where it is not OpenShift."""
    return [_constraints()] if installation.openshift else []


def pod_metadata(component: str, installation: Installation) -> Object:
    """The annotation by which a component's pods get their constraints."""
    return {"annotations": {REQUIRED_SCC: f"metallb-{component}"}} if installation.openshift else {}


def _constraints() -> Object:
    """The host's network, and raw sockets; nothing else of the host."""
    any_identity = {"type": "RunAsAny"}
    description = "Lets MetalLB's speakers use the host's network and raw sockets."
    return {
        "apiVersion": "security.openshift.io/v1",
        "kind": "SecurityContextConstraints",
        "metadata": {"name": SCC, "annotations": {"kubernetes.io/description": description}},
        "allowHostNetwork": True,
        "allowHostPorts": True,
        "allowHostPID": False,
        "allowHostIPC": False,
        "allowHostDirVolumePlugin": False,
        "allowPrivilegedContainer": False,
        "allowPrivilegeEscalation": False,
        "allowedCapabilities": ["NET_RAW"],
        "requiredDropCapabilities": ["ALL"],
        "runAsUser": any_identity,
        "seLinuxContext": any_identity,
        "fsGroup": any_identity,
        "supplementalGroups": any_identity,
        "volumes": ["configMap", "downwardAPI", "emptyDir", "projected", "secret"],
        "users": [],
        "groups": [],
        "priority": None,
    }
