"""The Node object of a node agent: what it says about its node. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kubelab.kubelet.config import AgentConfig
from kubelab.kubelet.state import Now
from kubelab.kubelet.status import timestamp
from kubelab.objects import Object

KUBELET_VERSION = "v1.36.0-kubelab"
LEASE_NAMESPACE = "kube-node-lease"
LEASE_DURATION_S = 2
LEASE_PERIOD_S = 0.5
_PRESSURES = (
    ("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
)


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """What is known of the machine underneath."""

    cpus: int
    memory_kib: int
    kernel: str
    os_image: str
    architecture: str
    boot_id: str


def node_object(config: AgentConfig, facts: MachineFacts) -> Object:
    """The Node to create."""
    spec: Object = {}
    if config.pod_cidrs:
        spec["podCIDR"] = str(config.pod_cidrs[0])
        spec["podCIDRs"] = [str(network) for network in config.pod_cidrs]
    if config.taints:
        spec["taints"] = list(config.taints)
    metadata = {"name": config.node, "labels": labels(config, facts)}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec}


def labels(config: AgentConfig, facts: MachineFacts) -> dict[str, str]:
    """The node's labels: those every kubelet sets, and the configured ones."""
    own = {
        "kubernetes.io/hostname": config.node,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": facts.architecture,
        "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": facts.architecture,
    }
    return own | dict(config.labels)


def metadata_patch(config: AgentConfig, facts: MachineFacts, shown: Object) -> Object:
    """What a Node that is there already lacks: labels and pod ranges; empty if nothing."""
    patch: Object = {}
    have = shown["metadata"].get("labels") or {}
    missing = {key: value for key, value in labels(config, facts).items() if have.get(key) != value}
    if missing:
        patch["metadata"] = {"labels": missing}
    if config.pod_cidrs and not (shown.get("spec") or {}).get("podCIDR"):
        spec = node_object(config, facts)["spec"]
        patch["spec"] = {"podCIDR": spec["podCIDR"], "podCIDRs": spec["podCIDRs"]}
    return patch


def node_status(config: AgentConfig, facts: MachineFacts, shown: Object, now: Now) -> Object:
    """The status of a node that is well."""
    resources = {"cpu": str(facts.cpus), "memory": f"{facts.memory_kib}Ki", "pods": "110", "ephemeral-storage": "10Gi"}
    internal = [{"type": "InternalIP", "address": str(address)} for address in config.addresses]
    return {
        "capacity": resources,
        "allocatable": resources,
        "addresses": [*internal, {"type": "Hostname", "address": config.node}],
        "conditions": conditions(shown.get("status") or {}, now),
        "daemonEndpoints": {"kubeletEndpoint": {"Port": config.port}},
        "nodeInfo": {
            "machineID": facts.boot_id.replace("-", ""),
            "systemUUID": facts.boot_id,
            "bootID": facts.boot_id,
            "kernelVersion": facts.kernel,
            "osImage": facts.os_image,
            "containerRuntimeVersion": "kubelab://0.1.0",
            "kubeletVersion": KUBELET_VERSION,
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": facts.architecture,
        },
    }


def conditions(status: Object, now: Now) -> list[Object]:
    """No pressure, and Ready; a condition that was so before keeps its time."""
    known = {item.get("type"): item for item in status.get("conditions") or []}
    rows = [(name, "False", reason, message) for name, reason, message in _PRESSURES]
    rows.append(("Ready", "True", "KubeletReady", "kubelet is posting ready status"))
    at = timestamp(now.wall)
    found = []
    for name, value, reason, message in rows:
        before: Mapping[str, str] = known.get(name) or {}
        changed = before.get("lastTransitionTime") if before.get("status") == value else None
        found.append(
            {
                "type": name,
                "status": value,
                "reason": reason,
                "message": message,
                "lastHeartbeatTime": at,
                "lastTransitionTime": changed or at,
            }
        )
    return found


def is_current(config: AgentConfig, facts: MachineFacts, shown: Object, now: Now) -> bool:
    """Whether the API shows this node as it is, heartbeat times aside."""
    status = shown.get("status") or {}
    wanted = node_status(config, facts, shown, now)
    same = all(status.get(name) == wanted[name] for name in ("capacity", "addresses", "nodeInfo", "daemonEndpoints"))
    values = {item.get("type"): item.get("status") for item in status.get("conditions") or []}
    return same and all(values.get(item["type"]) == item["status"] for item in wanted["conditions"])


def lease(config: AgentConfig, now: Now, node_uid: str) -> Object:
    """The node's Lease, renewed now. The Node owns it, so that it goes with it."""
    micro = f"{timestamp(now.wall)[:-1]}.{int(now.wall % 1 * 1_000_000):06d}Z"
    owner = {"apiVersion": "v1", "kind": "Node", "name": config.node, "uid": node_uid}
    metadata: Object = {"name": config.node, "namespace": LEASE_NAMESPACE}
    if node_uid:
        metadata["ownerReferences"] = [owner]
    spec = {"holderIdentity": config.node, "leaseDurationSeconds": LEASE_DURATION_S, "renewTime": micro}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
