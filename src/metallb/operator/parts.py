"""Parts of workloads: containers' probes, ports and mounts, pods' selectors and tolerations. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from metallb.api.core import Model
from metallb.api.v1beta1 import MetalLBSpec, PodConfig
from metallb.operator.installation import Installation

Object = dict[str, Any]

DEFAULT_LOG_LEVEL: Final = "info"
SERVING_CERTS: Final = "/tmp/k8s-webhook-server/serving-certs"  # noqa: S108  # the path is the contract
METRICS_CERTS: Final = "/etc/metrics"


def selector(component: str) -> dict[str, str]:
    """Selectors can't be changed on a living object: these must stay as they are."""
    return {"app": "metallb", "component": component}


def node_selector(chosen: Mapping[str, str]) -> dict[str, str]:
    """Linux nodes, and what the user says; the user wins."""
    return {"kubernetes.io/os": "linux"} | dict(chosen)


def tolerations(spec: MetalLBSpec) -> list[Object]:
    """Those of whatever runs beside a speaker: control-plane nodes, then the user's, in order."""
    roles = [
        {"key": f"node-role.kubernetes.io/{role}", "operator": "Exists", "effect": "NoSchedule"}
        for role in ("master", "control-plane")
    ]
    return [*roles, *builtins(spec.speaker_tolerations)]


def configure(template: Object, config: PodConfig | None) -> Object:
    """Puts in what the user set for the component, whose own container is the first."""
    pod = template["spec"]
    if config is None:
        return template
    if config.annotations:
        template["metadata"]["annotations"] = dict(config.annotations) | template["metadata"].get("annotations", {})
    classes(pod, config)
    if config.affinity is not None:
        pod["affinity"] = builtin(config.affinity)
    if config.resources is not None:
        pod["containers"][0]["resources"] = builtin(config.resources)
    return template


def classes(pod: Object, config: PodConfig | None) -> None:
    """Puts in the classes of priority and runtime that the user set."""
    if config is not None and config.priority_class_name:
        pod["priorityClassName"] = config.priority_class_name
    if config is not None and config.runtime_class_name:
        pod["runtimeClassName"] = config.runtime_class_name


def probes(port: int, host: str = "") -> Object:
    """Live is what answers at all; ready and started are asked more often, so that an installation is up in seconds."""

    def one(path: str, *, period_s: int, failures: int, delay_s: int = 0) -> Object:
        request: Object = {"path": path, "port": port, "scheme": "HTTP"} | ({"host": host} if host else {})
        return probe(request, period_s=period_s, failures=failures, delay_s=delay_s)

    return {
        "startupProbe": one("/healthz", period_s=1, failures=60),
        "livenessProbe": one("/healthz", period_s=10, failures=3, delay_s=1),
        "readinessProbe": one("/readyz", period_s=2, failures=3, delay_s=1),
    }


def probe(request: Object, *, period_s: int = 10, failures: int = 3, delay_s: int = 0) -> Object:
    """One probe by HTTP; an answer may take a second."""
    delay = {"initialDelaySeconds": delay_s} if delay_s else {}
    return {"httpGet": request} | delay | {"periodSeconds": period_s, "timeoutSeconds": 1, "failureThreshold": failures}


def security(*capabilities: str) -> Object:
    """Nothing but these capabilities, no way to more, nothing to write to."""
    allowed: Object = {"drop": ["ALL"]} | ({"add": list(capabilities)} if capabilities else {})
    return {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": allowed}


def arguments(spec: MetalLBSpec, installation: Installation) -> list[str]:
    """Those that controller and speaker have in common."""
    found = [
        f"--port={installation.metrics_port}",
        f"--health-probe-port={installation.liveness_port}",
        f"--log-level={log_level(spec)}",
    ]
    if spec.load_balancer_class:
        found.append(f"--lb-class={spec.load_balancer_class}")
    return found


def log_level(spec: MetalLBSpec) -> str:
    """Of every component."""
    return spec.log_level or DEFAULT_LOG_LEVEL


def tls_arguments(installation: Installation) -> list[str]:
    """What is set of TLS versions, suites and curves."""
    settings = {
        "--tls-cipher-suites": installation.tls_cipher_suites,
        "--tls-curve-preferences": installation.tls_curve_preferences,
        "--tls-min-version": installation.tls_min_version,
    }
    return [f"{flag}={value}" for flag, value in settings.items() if value]


def certificate_arguments(installation: Installation) -> list[str]:
    """Where the platform's certificate for metrics is, if it makes one."""
    return [f"--metrics-cert-dir={METRICS_CERTS}"] if installation.serving_certificates else []


def certificate_mounts(installation: Installation) -> list[Object]:
    """The same as a mount."""
    mount = {"name": "metrics-certs", "mountPath": METRICS_CERTS, "readOnly": True}
    return [mount] if installation.serving_certificates else []


def certificate_volumes(installation: Installation, component: str) -> list[Object]:
    """The same as a volume."""
    return [secret_volume("metrics-certs", f"{component}-certs-secret")] if installation.serving_certificates else []


def env_field(name: str, path: str) -> Object:
    """A variable with a field of the pod."""
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def port(name: str, number: int, protocol: str = "TCP") -> Object:
    """A named port of a container."""
    return {"name": name, "containerPort": number, "protocol": protocol}


def secret_volume(name: str, secret: str) -> Object:
    """A Secret as files."""
    return {"name": name, "secret": {"secretName": secret, "defaultMode": 0o644}}


def empty_volumes(*names: str) -> list[Object]:
    """Folders that live as long as the pod."""
    return [{"name": name, "emptyDir": {}} for name in names]


def mounts(**paths: str) -> list[Object]:
    """Volumes by name (`_` for `-`) with the folders in which they appear."""
    return [{"name": name.replace("_", "-"), "mountPath": path} for name, path in paths.items()]


def builtin(value: Model) -> Object:
    """A model as plain JSON."""
    # Through JSON, so that lists are lists: `to_builtins` leaves tuples as they are.
    built: Object = msgspec.json.decode(msgspec.json.encode(value))
    return built


def builtins(values: tuple[Model, ...]) -> list[Object]:
    """Models as plain JSON."""
    return [builtin(value) for value in values]
