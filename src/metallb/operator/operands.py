"""The objects that a MetalLB resource stands for. Pure: the same resource always gives the same objects.

Names, labels, selectors, arguments, ports, paths and mounts are the contract (spec/operator.md 3). Ours on purpose:
probes look sooner and more often and start with a startup probe; speakers have 10 s to hand over before they end; the
network policy also lets the API server be on port 443; cluster-scoped objects have no owner, and go by their label.
"""

from __future__ import annotations

from typing import Any, Final

from metallb.api.v1beta1 import API_VERSION, MetalLB, MetalLBSpec
from metallb.operator import frr, frrk8s, monitors, openshift
from metallb.operator.backend import backend_of
from metallb.operator.installation import Installation
from metallb.operator.parts import (
    SERVING_CERTS,
    Object,
    arguments,
    builtins,
    certificate_arguments,
    certificate_mounts,
    certificate_volumes,
    configure,
    env_field,
    node_selector,
    port,
    probes,
    secret_volume,
    security,
    selector,
    tls_arguments,
    tolerations,
)
from metallb.operator.validation import EXTERNAL

CONTROLLER: Final = "controller"
SPEAKER: Final = "speaker"
MEMBERLIST_SECRET: Final = "metallb-memberlist"  # noqa: S105  # the secret's name
WEBHOOK_SECRET: Final = "metallb-webhook-cert"  # noqa: S105  # the secret's name
EXCLUDE_CONFIG: Final = "metallb-excludel2"
MEMBERLIST_CONFIG: Final = "metallb-memberlist-config"
NOBODY: Final = 65534
"""User and group of our images."""

SPEAKER_GRACE_S: Final = 10
CONTROLLER_GRACE_S: Final = 5
OPERATOR: Final = "metallb-operator"
CLUSTER_SCOPED: Final = frozenset({"ValidatingWebhookConfiguration", "SecurityContextConstraints"})
NAMESPACE_LABEL: Final = "metallb.io/operator-namespace"
"""On cluster-scoped objects: whose they are, instead of an owner, which can't be in a namespace."""

EXCLUDED_INTERFACES: Final = (
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


def render(resource: MetalLB, installation: Installation) -> list[Object]:
    """The objects in the order in which they are applied."""
    spec = resource.spec
    backend = backend_of(spec)
    objects = [_exclude_config()]
    if installation.network_policies:
        objects.append(_network_policy(installation))
    if backend == "frr":
        objects.append(frr.startup_config())
    objects += monitors.render(backend, installation)
    objects += openshift.render(installation)
    objects += [_speaker(spec, installation), _controller(spec, installation)]
    if backend == "frr-k8s":
        objects = frrk8s.render(spec, installation) + objects
    for each in objects:
        _claim(each, resource, installation)
    return objects


def _claim(each: Object, resource: MetalLB, installation: Installation) -> None:
    metadata = each["metadata"]
    labels = _labels(installation) | metadata.get("labels", {})
    if each["kind"] in CLUSTER_SCOPED:
        metadata["labels"] = labels | {NAMESPACE_LABEL: installation.namespace}
        return
    metadata["namespace"] = installation.namespace
    metadata["labels"] = labels
    metadata["ownerReferences"] = [_owner(resource)]


def _labels(installation: Installation) -> dict[str, str]:
    return {
        "app": "metallb",
        "app.kubernetes.io/managed-by": OPERATOR,
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


def _network_policy(installation: Installation) -> Object:
    """Speakers run in the host's network, where policies don't reach: only the controller needs one."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": CONTROLLER},
        "spec": {
            "podSelector": {"matchLabels": selector(CONTROLLER)},
            "ingress": [{"ports": [{"protocol": "TCP", "port": "metricshttps"}]}],
            "egress": [{"ports": [{"protocol": "TCP", "port": number} for number in installation.api_ports]}],
            "policyTypes": ["Egress", "Ingress"],
        },
    }


def _bgp_type(spec: MetalLBSpec) -> list[Object]:
    """What the processes are told of the backend; nothing means native."""
    backend = backend_of(spec).removesuffix("-external")
    return [] if backend == "native" else [{"name": "METALLB_BGP_TYPE", "value": backend}]


def _controller(spec: MetalLBSpec, installation: Installation) -> Object:
    container: Object = {
        "name": CONTROLLER,
        "image": installation.controller_image,
        "args": [
            *arguments(spec, installation),
            "--webhook-mode=disabled",
            *tls_arguments(installation),
            *certificate_arguments(installation),
        ],
        "env": [
            env_field("METALLB_POD_NAME", "metadata.name"),
            {"name": "METALLB_ML_SECRET_NAME", "value": MEMBERLIST_SECRET},
            {"name": "METALLB_DEPLOYMENT", "value": CONTROLLER},
            *_bgp_type(spec),
        ],
        "ports": [port("metricshttps", installation.metrics_port)],
        "volumeMounts": [
            {"name": "cert", "mountPath": SERVING_CERTS, "readOnly": True},
            *certificate_mounts(installation),
        ],
        "securityContext": security(),
    }
    user = {} if installation.openshift else {"runAsUser": NOBODY, "fsGroup": NOBODY}
    pod: Object = {
        "serviceAccountName": CONTROLLER,
        "terminationGracePeriodSeconds": CONTROLLER_GRACE_S,
        "nodeSelector": node_selector(spec.controller_node_selector),
        "securityContext": {"runAsNonRoot": True} | user,
        "containers": [container | probes(installation.liveness_port)],
        "volumes": [secret_volume("cert", WEBHOOK_SECRET), *certificate_volumes(installation, CONTROLLER)],
    }
    if installation.openshift:
        pod["containers"][0]["command"] = ["/controller"]
    if spec.controller_tolerations:
        pod["tolerations"] = builtins(spec.controller_tolerations)
    template = configure({"metadata": {"labels": selector(CONTROLLER)}, "spec": pod}, spec.controller_config)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": CONTROLLER, "labels": {"component": CONTROLLER}},
        "spec": {
            "selector": {"matchLabels": selector(CONTROLLER)},
            "strategy": {"type": "RollingUpdate"},
            "template": template,
        },
    }


def _speaker(spec: MetalLBSpec, installation: Installation) -> Object:
    container: Object = {
        "name": SPEAKER,
        "image": installation.speaker_image,
        "command": ["/speaker"],
        "args": [
            *arguments(spec, installation),
            *_external_arguments(spec, installation),
            *tls_arguments(installation),
            *certificate_arguments(installation),
        ],
        "env": _speaker_environment(spec, installation),
        "ports": [
            port("metricshttps", installation.metrics_port),
            port("memberlist-tcp", installation.memberlist_port),
            port("memberlist-udp", installation.memberlist_port, "UDP"),
        ],
        "volumeMounts": [
            {"name": "memberlist", "mountPath": "/etc/ml_secret_key"},
            {"name": "metallb-excludel2", "mountPath": "/etc/metallb"},
            {"name": "memberlist-config", "mountPath": "/etc/metallb/memberlist", "readOnly": True},
            *certificate_mounts(installation),
        ],
        "securityContext": security("NET_RAW"),
    }
    pod: Object = {
        "serviceAccountName": SPEAKER,
        "terminationGracePeriodSeconds": SPEAKER_GRACE_S,
        "hostNetwork": True,
        "nodeSelector": node_selector(spec.node_selector),
        "tolerations": tolerations(spec),
        # The list of excluded interfaces is for its owner alone, root: by their group those who are not read it, too.
        "securityContext": {"fsGroup": NOBODY},
        "containers": [container | probes(installation.liveness_port, host="127.0.0.1")],
        "volumes": [
            secret_volume("memberlist", MEMBERLIST_SECRET),
            {"name": "metallb-excludel2", "configMap": {"name": EXCLUDE_CONFIG, "defaultMode": 0o400}},
            {
                "name": "memberlist-config",
                "configMap": {"name": MEMBERLIST_CONFIG, "defaultMode": 0o644, "optional": True},
            },
            *certificate_volumes(installation, SPEAKER),
        ],
    }
    if backend_of(spec) == "frr":
        frr.add(pod, installation)
    metadata: dict[str, Any] = {"labels": selector(SPEAKER)} | openshift.pod_metadata(SPEAKER, installation)
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": SPEAKER, "labels": {"component": SPEAKER}},
        "spec": {
            "selector": {"matchLabels": selector(SPEAKER)},
            "updateStrategy": {"type": "RollingUpdate"},
            "template": configure({"metadata": metadata, "spec": pod}, spec.speaker_config),
        },
    }


def _external_arguments(spec: MetalLBSpec, installation: Installation) -> list[str]:
    """Where the frr-k8s of somebody else is."""
    if backend_of(spec) != EXTERNAL:
        return []
    config = spec.frrk8s_config
    namespace = (config.namespace if config is not None else "") or installation.frrk8s_namespace
    passthrough = config is not None and config.secret_passthrough
    return [f"--frrk8s-namespace={namespace}", *(["--frrk8s-secret-passthrough"] if passthrough else [])]


def _speaker_environment(spec: MetalLBSpec, installation: Installation) -> list[Object]:
    return [
        env_field("METALLB_NODE_NAME", "spec.nodeName"),
        env_field("METALLB_HOST", "status.hostIP"),
        env_field("METALLB_ML_BIND_ADDR", "status.podIP"),
        {"name": "METALLB_ML_LABELS", "value": "app=metallb,component=speaker"},
        {"name": "METALLB_ML_BIND_PORT", "value": str(installation.memberlist_port)},
        {"name": "METALLB_ML_SECRET_KEY_PATH", "value": "/etc/ml_secret_key"},
        *(frr.environment() if backend_of(spec) == "frr" else []),
        *_bgp_type(spec),
        env_field("METALLB_POD_NAME", "metadata.name"),
    ]
