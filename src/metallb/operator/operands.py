"""The objects that a MetalLB resource stands for. Pure: the same resource always gives the same objects.

Names, labels, selectors, arguments, ports, paths and mounts are the contract (spec/operator.md 3). Ours on purpose:
probes look sooner and more often and start with a startup probe; speakers have 10 s to hand over before they end; the
network policy also lets the API server be on port 443.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from metallb.api.core import Model
from metallb.api.v1beta1 import API_VERSION, MetalLB, MetalLBSpec, PodConfig

Object = dict[str, Any]

CONTROLLER = "controller"
SPEAKER = "speaker"
MEMBERLIST_SECRET = "metallb-memberlist"  # noqa: S105  # the secret's name
WEBHOOK_SECRET = "metallb-webhook-cert"  # noqa: S105  # the secret's name
EXCLUDE_CONFIG = "metallb-excludel2"
MEMBERLIST_CONFIG = "metallb-memberlist-config"
DEFAULT_LOG_LEVEL = "info"
SPEAKER_GRACE_S = 10
CONTROLLER_GRACE_S = 5

EXCLUDED_INTERFACES = (
    "^docker.*",
    "^cbr.*",
    "^dummy.*",
    "^virbr.*",
    "^lxcbr.*",
    "^veth.*",
    "^lo$",
    "^cali.*",
    "^tunl.*",
    "^flannel.*",
    "^kube-ipvs.*",
    "^cni.*",
    "^nodelocaldns.*",
    "^lxc.*",
)
"""Interfaces on which addresses are never announced, as regular expressions."""

_API_SERVER_PORTS = (443, 6443)


@dataclass(frozen=True, slots=True)
class Installation:
    """What the operator knows beside the resource (spec/operator.md 4.2); images are used as written."""

    namespace: str
    controller_image: str
    speaker_image: str
    version: str
    metrics_port: int = 9120
    liveness_port: int = 17472
    memberlist_port: int = 7946
    network_policies: bool = True
    tls_cipher_suites: str = ""
    tls_curve_preferences: str = ""
    tls_min_version: str = ""


def render(resource: MetalLB, installation: Installation) -> list[Object]:
    """The objects for the native backend, in the order in which they are applied."""
    spec = resource.spec
    objects = [_exclude_config()]
    if installation.network_policies:
        objects.append(_network_policy())
    objects += [_speaker(spec, installation), _controller(spec, installation)]
    for each in objects:
        metadata = each["metadata"]
        metadata["namespace"] = installation.namespace
        metadata["labels"] = _labels(installation) | metadata.get("labels", {})
        metadata["ownerReferences"] = [_owner(resource)]
    return objects


def _labels(installation: Installation) -> dict[str, str]:
    return {
        "app": "metallb",
        "app.kubernetes.io/managed-by": "metallb-operator",
        "app.kubernetes.io/version": installation.version,
    }


def _owner(resource: MetalLB) -> Object:
    return {
        "apiVersion": API_VERSION,
        "kind": "MetalLB",
        "name": resource.metadata.name,
        "uid": resource.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _exclude_config() -> Object:
    lines = "".join(f"- {pattern}\n" for pattern in EXCLUDED_INTERFACES)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": EXCLUDE_CONFIG},
        "data": {"excludel2.yaml": f"announcedInterfacesToExclude:\n{lines}"},
    }


def _network_policy() -> Object:
    """Speakers run in the host's network, where policies don't reach: only the controller needs one."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": CONTROLLER},
        "spec": {
            "podSelector": {"matchLabels": _selector(CONTROLLER)},
            "ingress": [{"ports": [{"protocol": "TCP", "port": "metricshttps"}]}],
            "egress": [{"ports": [{"protocol": "TCP", "port": port} for port in _API_SERVER_PORTS]}],
            "policyTypes": ["Egress", "Ingress"],
        },
    }


def _controller(spec: MetalLBSpec, installation: Installation) -> Object:
    container: Object = {
        "name": CONTROLLER,
        "image": installation.controller_image,
        "args": [*_arguments(spec, installation), "--webhook-mode=disabled", *_tls_arguments(installation)],
        "env": [
            _field("METALLB_POD_NAME", "metadata.name"),
            {"name": "METALLB_ML_SECRET_NAME", "value": MEMBERLIST_SECRET},
            {"name": "METALLB_DEPLOYMENT", "value": CONTROLLER},
        ],
        "ports": [_port("metricshttps", installation.metrics_port)],
        "volumeMounts": [
            {"name": "cert", "mountPath": "/tmp/k8s-webhook-server/serving-certs", "readOnly": True}  # noqa: S108
        ],
        "securityContext": _security(),
    }
    pod: Object = {
        "serviceAccountName": CONTROLLER,
        "terminationGracePeriodSeconds": CONTROLLER_GRACE_S,
        "nodeSelector": _node_selector(spec.controller_node_selector),
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65534, "fsGroup": 65534},
        "containers": [container | _probes(installation)],
        "volumes": [{"name": "cert", "secret": {"secretName": WEBHOOK_SECRET, "defaultMode": 0o644}}],
    }
    if spec.controller_tolerations:
        pod["tolerations"] = _builtins(spec.controller_tolerations)
    template = _template(CONTROLLER, pod, spec.controller_config)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": CONTROLLER, "labels": {"component": CONTROLLER}},
        "spec": {
            "selector": {"matchLabels": _selector(CONTROLLER)},
            "strategy": {"type": "RollingUpdate"},
            "template": template,
        },
    }


def _speaker(spec: MetalLBSpec, installation: Installation) -> Object:
    ports = [
        _port("metricshttps", installation.metrics_port),
        _port("memberlist-tcp", installation.memberlist_port),
        _port("memberlist-udp", installation.memberlist_port, "UDP"),
    ]
    container: Object = {
        "name": SPEAKER,
        "image": installation.speaker_image,
        "command": ["/speaker"],
        "args": [*_arguments(spec, installation), *_tls_arguments(installation)],
        "env": _speaker_environment(installation),
        "ports": ports,
        "volumeMounts": [
            {"name": "memberlist", "mountPath": "/etc/ml_secret_key"},
            {"name": "metallb-excludel2", "mountPath": "/etc/metallb"},
            {"name": "memberlist-config", "mountPath": "/etc/metallb/memberlist", "readOnly": True},
        ],
        "securityContext": _security("NET_RAW"),
    }
    pod: Object = {
        "serviceAccountName": SPEAKER,
        "terminationGracePeriodSeconds": SPEAKER_GRACE_S,
        "hostNetwork": True,
        "nodeSelector": _node_selector(spec.node_selector),
        "tolerations": [*map(_tolerate_role, ("master", "control-plane")), *_builtins(spec.speaker_tolerations)],
        "containers": [container | _probes(installation, host="127.0.0.1")],
        "volumes": [
            {"name": "memberlist", "secret": {"secretName": MEMBERLIST_SECRET, "defaultMode": 0o644}},
            {"name": "metallb-excludel2", "configMap": {"name": EXCLUDE_CONFIG, "defaultMode": 0o400}},
            {
                "name": "memberlist-config",
                "configMap": {"name": MEMBERLIST_CONFIG, "defaultMode": 0o644, "optional": True},
            },
        ],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": SPEAKER, "labels": {"component": SPEAKER}},
        "spec": {
            "selector": {"matchLabels": _selector(SPEAKER)},
            "updateStrategy": {"type": "RollingUpdate"},
            "template": _template(SPEAKER, pod, spec.speaker_config),
        },
    }


def _speaker_environment(installation: Installation) -> list[Object]:
    return [
        _field("METALLB_NODE_NAME", "spec.nodeName"),
        _field("METALLB_HOST", "status.hostIP"),
        _field("METALLB_ML_BIND_ADDR", "status.podIP"),
        {"name": "METALLB_ML_LABELS", "value": "app=metallb,component=speaker"},
        {"name": "METALLB_ML_BIND_PORT", "value": str(installation.memberlist_port)},
        {"name": "METALLB_ML_SECRET_KEY_PATH", "value": "/etc/ml_secret_key"},
        _field("METALLB_POD_NAME", "metadata.name"),
    ]


def _arguments(spec: MetalLBSpec, installation: Installation) -> list[str]:
    arguments = [
        f"--port={installation.metrics_port}",
        f"--health-probe-port={installation.liveness_port}",
        f"--log-level={spec.log_level or DEFAULT_LOG_LEVEL}",
    ]
    if spec.load_balancer_class:
        arguments.append(f"--lb-class={spec.load_balancer_class}")
    return arguments


def _tls_arguments(installation: Installation) -> list[str]:
    settings = {
        "--tls-cipher-suites": installation.tls_cipher_suites,
        "--tls-curve-preferences": installation.tls_curve_preferences,
        "--tls-min-version": installation.tls_min_version,
    }
    return [f"{flag}={value}" for flag, value in settings.items() if value]


def _template(component: str, pod: Object, config: PodConfig | None) -> Object:
    """The pod template, with what the user set for this component."""
    template: Object = {"metadata": {"labels": _selector(component)}, "spec": pod}
    if config is None:
        return template
    if config.annotations:
        template["metadata"]["annotations"] = dict(config.annotations)
    if config.priority_class_name:
        pod["priorityClassName"] = config.priority_class_name
    if config.runtime_class_name:
        pod["runtimeClassName"] = config.runtime_class_name
    if config.affinity is not None:
        pod["affinity"] = _builtin(config.affinity)
    if config.resources is not None:
        pod["containers"][0]["resources"] = _builtin(config.resources)
    return template


def _probes(installation: Installation, host: str = "") -> Object:
    """Live is what answers at all; ready and started are asked more often, so that an installation is up in seconds."""

    def probe(path: str, *, period_s: int, failures: int, delay_s: int = 0) -> Object:
        request: Object = {"path": path, "port": installation.liveness_port, "scheme": "HTTP"}
        timing = {"periodSeconds": period_s, "timeoutSeconds": 1, "failureThreshold": failures}
        delay = {"initialDelaySeconds": delay_s} if delay_s else {}
        return {"httpGet": request | ({"host": host} if host else {})} | delay | timing

    return {
        "startupProbe": probe("/healthz", period_s=1, failures=60),
        "livenessProbe": probe("/healthz", period_s=10, failures=3, delay_s=1),
        "readinessProbe": probe("/readyz", period_s=2, failures=3, delay_s=1),
    }


def _security(*capabilities: str) -> Object:
    allowed: Object = {"drop": ["ALL"]} | ({"add": list(capabilities)} if capabilities else {})
    return {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": allowed}


def _selector(component: str) -> dict[str, str]:
    """Selectors can't be changed on a living object: these must stay as they are."""
    return {"app": "metallb", "component": component}


def _node_selector(chosen: Mapping[str, str]) -> dict[str, str]:
    return {"kubernetes.io/os": "linux"} | dict(chosen)


def _tolerate_role(role: str) -> Object:
    return {"key": f"node-role.kubernetes.io/{role}", "operator": "Exists", "effect": "NoSchedule"}


def _field(name: str, path: str) -> Object:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _port(name: str, number: int, protocol: str = "TCP") -> Object:
    return {"name": name, "containerPort": number, "protocol": protocol}


def _builtin(value: Model) -> Object:
    # Through JSON, so that lists are lists: `to_builtins` leaves tuples as they are.
    built: Object = msgspec.json.decode(msgspec.json.encode(value))
    return built


def _builtins(values: tuple[Model, ...]) -> list[Object]:
    return [_builtin(value) for value in values]
