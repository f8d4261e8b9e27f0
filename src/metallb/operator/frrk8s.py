"""The objects of the backend `frr-k8s`: its DaemonSet, what cleans up and checks. Pure (spec/operator.md 3.4).

Ours on purpose: the Secret of its certificate has the labels of the rest, so that it goes with it; the webhook
configuration has no owner, which could not be in a namespace.
"""

from __future__ import annotations

from typing import Final

from metallb.api.v1beta1 import MetalLBSpec
from metallb.operator import frr
from metallb.operator.installation import Installation
from metallb.operator.parts import (
    SERVING_CERTS,
    Object,
    builtin,
    certificate_arguments,
    certificate_mounts,
    certificate_volumes,
    classes,
    empty_volumes,
    env_field,
    log_level,
    mounts,
    node_selector,
    port,
    probe,
    secret_volume,
    security,
    tls_arguments,
    tolerations,
)

NAME: Final = "frr-k8s"
ACCOUNT: Final = "frr-k8s-daemon"
CLEANER: Final = "statuscleaner"
WEBHOOK_SERVICE: Final = "frr-k8s-webhook-service"
WEBHOOK_SECRET: Final = "frr-k8s-webhook-server-cert"  # noqa: S105  # the secret's name
WEBHOOK_CONFIGURATION: Final = "frr-k8s-validating-webhook-configuration"
WEBHOOK_PORT: Final = 19443
PROBE_PORT: Final = 7572
"""Not to be set: the program listens there."""

_LABELS: Final = {"app": NAME}
_COMPONENT: Final = {"app": NAME, "app.kubernetes.io/component": NAME}
_CLEANER: Final = {"component": CLEANER}
_NODE: Final = ("NODE_NAME", "spec.nodeName")
_NAMESPACE: Final = ("NAMESPACE", "metadata.namespace")
_POD: Final = ("POD_NAME", "metadata.name")


def render(spec: MetalLBSpec, installation: Installation) -> list[Object]:
    """All of them, without what they have in common with the rest of the installation."""
    certificate = [] if installation.openshift else [_secret()]
    startup: Object = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": frr.STARTUP, "labels": dict(_COMPONENT)},
        "data": frr.startup_files("-K 120"),
    }
    return [
        *certificate,
        startup,
        _service(installation),
        _daemon_set(spec, installation),
        _cleaner(spec, installation),
        _webhook(installation),
    ]


def _secret() -> Object:
    metadata = {"name": WEBHOOK_SECRET, "labels": dict(_LABELS)}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque"}


def _service(installation: Installation) -> Object:
    metadata: Object = {"name": WEBHOOK_SERVICE, "labels": dict(_LABELS)}
    if installation.openshift:
        metadata["annotations"] = {"service.beta.openshift.io/serving-cert-secret-name": WEBHOOK_SECRET}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"ports": [{"port": 443, "protocol": "TCP", "targetPort": "webhook"}], "selector": dict(_CLEANER)},
    }


def _webhook(installation: Installation) -> Object:
    metadata: Object = {"name": WEBHOOK_CONFIGURATION, "labels": dict(_LABELS)}
    if installation.openshift:
        metadata["annotations"] = {"service.beta.openshift.io/inject-cabundle": "true"}
    webhook = {
        "name": "frrconfigurationsvalidationwebhook.metallb.io",
        "clientConfig": {
            "service": {
                "name": WEBHOOK_SERVICE,
                "namespace": installation.namespace,
                "path": "/validate-frrk8s-metallb-io-v1beta1-frrconfiguration",
            }
        },
        "rules": [
            {
                "apiGroups": ["frrk8s.metallb.io"],
                "apiVersions": ["v1beta1"],
                "resources": ["frrconfigurations"],
                "operations": ["CREATE", "UPDATE"],
            }
        ],
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": metadata,
        "webhooks": [webhook],
    }


def _daemon_set(spec: MetalLBSpec, installation: Installation) -> Object:
    pod: Object = {
        "serviceAccountName": ACCOUNT,
        "terminationGracePeriodSeconds": 0,
        "hostNetwork": True,
        "shareProcessNamespace": True,
        "nodeSelector": node_selector(spec.node_selector),
        "tolerations": tolerations(spec),
        "initContainers": [frr.copy_start_files(installation), *_copy_tools(installation)],
        "containers": [
            _controller(spec, installation),
            frr.daemon(installation, installation.frrk8s_frr_metrics_port),
            frr.reloader(installation),
            frr.exporter(installation, installation.frrk8s_frr_metrics_port),
            _status(spec, installation),
        ],
        "volumes": [
            *empty_volumes("frr-sockets"),
            frr.STARTUP_VOLUME,
            *empty_volumes("frr-conf", "reloader", "metrics", "frr-status", "frr-lib", "frr-tmp"),
            *certificate_volumes(installation, NAME),
        ],
    }
    config = spec.speaker_config
    classes(pod, config)
    if config is not None and config.affinity is not None:
        pod["affinity"] = builtin(config.affinity)
    if config is not None and config.resources is not None:
        pod["containers"][0]["resources"] = builtin(config.resources)
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": NAME, "labels": dict(_COMPONENT)},
        "spec": {
            "selector": {"matchLabels": dict(_COMPONENT)},
            "updateStrategy": {"type": "RollingUpdate"},
            "template": {"metadata": {"labels": dict(_COMPONENT)}, "spec": pod},
        },
    }


def _copy_tools(installation: Installation) -> list[Object]:
    tools = (
        ("cp-reloader", "reloader", "/frr-reloader.sh", "/etc/frr_reloader"),
        ("cp-metrics", "metrics", "/frr-metrics", "/etc/frr_metrics"),
        ("cp-frr-status", "frr-status", "/frr-status", "/etc/frr_status"),
    )
    return [
        {
            "name": name,
            "image": installation.frrk8s_image,
            "command": ["/bin/sh", "-c", f"cp -f {tool} {folder}/"],
            "volumeMounts": mounts(**{volume: folder}),
        }
        for name, volume, tool, folder in tools
    ]


def _controller(spec: MetalLBSpec, installation: Installation) -> Object:
    blocked = sorted(spec.frrk8s_config.always_block) if spec.frrk8s_config is not None else []
    request = {"port": PROBE_PORT, "host": "127.0.0.1", "scheme": "HTTP"}
    return {
        "name": "controller",
        "image": installation.frrk8s_image,
        "command": ["/frr-k8s"],
        "args": [
            "--node-name=$(NODE_NAME)",
            "--namespace=$(NAMESPACE)",
            f"--metrics-bind-address=0.0.0.0:{installation.frrk8s_metrics_port}",
            f"--log-level={log_level(spec)}",
            *([f"--always-block={','.join(blocked)}"] if blocked else []),
            *tls_arguments(installation),
            *certificate_arguments(installation),
        ],
        "env": [*frr.environment(), env_field(*_NODE), env_field(*_NAMESPACE)],
        "ports": [port("metricshttps", installation.frrk8s_metrics_port)],
        "volumeMounts": [*mounts(reloader="/etc/frr_reloader"), *certificate_mounts(installation)],
        "livenessProbe": probe({"path": "/healthz"} | request, delay_s=10),
        "readinessProbe": probe({"path": "/readyz"} | request, delay_s=10),
        "securityContext": security("NET_RAW"),
    }


def _status(spec: MetalLBSpec, installation: Installation) -> Object:
    return {
        "name": "frr-status",
        "image": installation.frr_image,
        "command": ["/etc/frr_status/frr-status"],
        "args": [
            "--node-name=$(NODE_NAME)",
            "--namespace=$(NAMESPACE)",
            "--pod-name=$(POD_NAME)",
            f"--log-level={log_level(spec)}",
            "--poll-interval=2m",
        ],
        "env": [env_field(*_NODE), env_field(*_NAMESPACE), env_field(*_POD)],
        "volumeMounts": mounts(frr_sockets="/var/run/frr", frr_conf="/etc/frr", frr_status="/etc/frr_status"),
    }


def _cleaner(spec: MetalLBSpec, installation: Installation) -> Object:
    certificates = (
        "--disable-cert-rotation=true" if installation.openshift else ("--restart-on-rotator-secret-refresh=true")
    )
    health = probe({"path": "/healthz", "port": "webhook", "scheme": "HTTPS"}, delay_s=10)
    container: Object = {
        "name": f"{NAME}-{CLEANER}",
        "image": installation.frrk8s_image,
        "command": [f"/{CLEANER}"],
        "args": [
            f"--webhook-port={WEBHOOK_PORT}",
            f"--log-level={log_level(spec)}",
            certificates,
            "--namespace=$(NAMESPACE)",
            *tls_arguments(installation),
        ],
        "env": [env_field(*_NAMESPACE)],
        "ports": [port("webhook", WEBHOOK_PORT)],
        "volumeMounts": [{"name": "cert", "mountPath": SERVING_CERTS, "readOnly": True}],
        "livenessProbe": health,
        "readinessProbe": health,
        "securityContext": security(),
    }
    pod: Object = {
        "serviceAccountName": ACCOUNT,
        "terminationGracePeriodSeconds": 10,
        "hostNetwork": True,
        "tolerations": tolerations(spec),
        "containers": [container],
        "volumes": [secret_volume("cert", WEBHOOK_SECRET)],
    }
    if installation.openshift:
        pod["securityContext"] = {"runAsNonRoot": True}
    classes(pod, spec.speaker_config)
    annotations = {"kubectl.kubernetes.io/default-container": f"{NAME}-{CLEANER}"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": CLEANER, "labels": _LABELS | _CLEANER},
        "spec": {
            "selector": {"matchLabels": dict(_CLEANER)},
            "strategy": {"type": "RollingUpdate"},
            "template": {"metadata": {"labels": dict(_CLEANER), "annotations": annotations}, "spec": pod},
        },
    }
