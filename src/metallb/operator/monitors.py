"""How the Prometheus operator finds MetalLB's metrics, and the alerts on them. Pure (spec/operator.md 5.1, 5.2).

Ours on purpose: pod monitors select by the labels that the pods have; alerts come with either kind of monitor.
"""

from __future__ import annotations

import copy
from typing import Final

from metallb.operator.alerts import GROUPS, NAME
from metallb.operator.installation import Installation
from metallb.operator.parts import Object, selector

API_VERSION: Final = "monitoring.coreos.com/v1"
TOKEN_FILE: Final = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105  # a path
TOKEN_SECRET: Final = "metrics-token"  # noqa: S105  # the secret's name
KINDS: Final = frozenset({"ServiceMonitor", "PodMonitor", "PrometheusRule"})
FRRK8S: Final = "frr-k8s"

_PORT: Final = "metricshttps"
_FRR_PORT: Final = "frrmetricshttps"
_CERTIFICATES: Final = "/etc/prometheus/secrets/metrics-client-certs"
_AUTHORITY: Final = "/etc/prometheus/configmaps/serving-certs-ca-bundle/service-ca.crt"
_SERVING: Final = "service.beta.openshift.io/serving-cert-secret-name"


def render(backend: str, installation: Installation) -> list[Object]:
    """Nothing where nobody asked for monitors."""
    if not installation.monitors:
        return []
    ports = _ports(backend, installation)
    objects = [_alerts()]
    for component, numbers in ports.items():
        if installation.monitors == "pod":
            objects.append(_pod_monitor(component, list(numbers), installation))
        else:
            objects += [_service(component, numbers, installation), _monitor(component, list(numbers), installation)]
    return objects


def _ports(backend: str, installation: Installation) -> dict[str, dict[str, int]]:
    """By component, the ports of its metrics by name."""
    own = {_PORT: installation.metrics_port}
    found = {"controller": own, "speaker": own}
    if backend == "frr":
        found["speaker"] = own | {_FRR_PORT: installation.frr_metrics_port}
    if backend == FRRK8S:
        found[FRRK8S] = {
            _PORT: installation.frrk8s_metrics_port,
            _FRR_PORT: installation.frrk8s_frr_metrics_port,
        }
    return found


def _pods(component: str) -> dict[str, str]:
    if component == FRRK8S:
        return {"app": FRRK8S, "app.kubernetes.io/component": FRRK8S}
    return selector(component)


def _service(component: str, ports: dict[str, int], installation: Installation) -> Object:
    name = f"{component}-monitor-service"
    annotations = {"prometheus.io/scrape": "true", "prometheus.io/scheme": "https"}
    if installation.serving_certificates:
        annotations[_SERVING] = f"{component}-certs-secret"
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": {"name": name}, "annotations": annotations},
        "spec": {
            "clusterIP": "None",
            "selector": _pods(component),
            "ports": [
                {"name": port, "port": number, "protocol": "TCP", "targetPort": number}
                for port, number in ports.items()
            ],
        },
    }


def _monitor(component: str, ports: list[str], installation: Installation) -> Object:
    endpoints = [
        {
            "port": port,
            "honorLabels": True,
            "scheme": "https",
            "bearerTokenFile": TOKEN_FILE,
            "tlsConfig": _tls(component, installation),
            **_renaming(component),
        }
        for port in ports
    ]
    return {
        "apiVersion": API_VERSION,
        "kind": "ServiceMonitor",
        "metadata": {"name": f"{component}-monitor"},
        "spec": {
            "endpoints": endpoints,
            "jobLabel": "app.kubernetes.io/name",
            "namespaceSelector": {"matchNames": [installation.namespace]},
            "selector": {"matchLabels": {"name": f"{component}-monitor-service"}},
        },
    }


def _pod_monitor(component: str, ports: list[str], installation: Installation) -> Object:
    """Pod monitors read no token from a file: theirs is in a Secret that comes with the rights to use it."""
    endpoints = [
        {
            "port": port,
            "honorLabels": True,
            "scheme": "https",
            "authorization": {"credentials": {"name": TOKEN_SECRET, "key": "token"}},
            "tlsConfig": {"insecureSkipVerify": True},
            **_renaming(component),
        }
        for port in ports
    ]
    return {
        "apiVersion": API_VERSION,
        "kind": "PodMonitor",
        "metadata": {"name": component},
        "spec": {
            "podMetricsEndpoints": endpoints,
            "jobLabel": "app.kubernetes.io/name",
            "namespaceSelector": {"matchNames": [installation.namespace]},
            "selector": {"matchLabels": _pods(component)},
        },
    }


def _renaming(component: str) -> Object:
    """What frr-k8s counts has MetalLB's names everywhere."""
    if component != FRRK8S:
        return {}
    rules = [
        {
            "sourceLabels": ["__name__"],
            "regex": f"frrk8s_{what}_(.*)",
            "targetLabel": "__name__",
            "replacement": f"metallb_{what}_$1",
            "action": "replace",
        }
        for what in ("bgp", "bfd")
    ]
    return {"metricRelabelings": rules}


def _tls(component: str, installation: Installation) -> Object:
    """Certificates that processes make for themselves can't be checked; the platform's can."""
    if not installation.serving_certificates:
        return {"insecureSkipVerify": True}
    return {
        "caFile": _AUTHORITY,
        "certFile": f"{_CERTIFICATES}/tls.crt",
        "keyFile": f"{_CERTIFICATES}/tls.key",
        "serverName": f"{component}-monitor-service.{installation.namespace}.svc",
        "insecureSkipVerify": False,
    }


def _alerts() -> Object:
    return {
        "apiVersion": API_VERSION,
        "kind": "PrometheusRule",
        "metadata": {"name": NAME},
        "spec": {"groups": copy.deepcopy(GROUPS)},
    }
