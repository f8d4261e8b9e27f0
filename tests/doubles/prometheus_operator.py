"""What the Prometheus operator would make of our objects: a test double that writes Prometheus' configuration.

Real are Prometheus, what it makes of targets and their labels, its requests and its rules. This module stands for the
operator's translation, as far as our objects use it; for how OpenShift chooses namespaces, by a label; and for discovery
through the API, which Debian builds Prometheus without: targets are written down with the labels that it gives them.
https://prometheus-operator.dev/docs/api-reference/api/ (ServiceMonitor, PodMonitor, PrometheusRule).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
LABEL = "openshift.io/cluster-monitoring"
TOKEN_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # a path in Prometheus' own pod


@dataclass(frozen=True)
class Seen:
    """What Prometheus' account sees in a namespace, and the file with its token."""

    services: list[Object]
    endpoints: list[Object]
    pods: list[Object]
    token_file: str

    def targets(self, role: str) -> list[Object]:
        """As Prometheus' own discovery of that role would find them: addresses with labels about them."""
        return list(self._endpoints() if role == "endpoints" else self._pods())

    def _pods(self) -> Iterator[Object]:
        for pod in self.pods:
            for container in pod["spec"]["containers"]:
                for port in container.get("ports", []):
                    labels = _labels("pod", pod) | {"pod_container_port_name": port["name"]}
                    yield _target(pod["status"]["podIP"], port["containerPort"], labels)

    def _endpoints(self) -> Iterator[Object]:
        services = {each["metadata"]["name"]: each for each in self.services}
        pods = {each["metadata"]["name"]: each for each in self.pods}
        for found in self.endpoints:
            service = services[found["metadata"]["name"]]
            for subset in found.get("subsets", []):
                for address in subset.get("addresses", []):
                    pod = pods.get(address.get("targetRef", {}).get("name", ""))
                    about = _labels("service", service) | (_labels("pod", pod) if pod else {})
                    for port in subset["ports"]:
                        yield _target(address["ip"], port["port"], about | {"endpoint_port_name": port["name"]})


def _labels(kind: str, found: Object) -> dict[str, str]:
    metadata = found["metadata"]
    about = {"namespace": metadata["namespace"], f"{kind}_name": metadata["name"]}
    return about | {f"{kind}_label_{_plain(key)}": value for key, value in metadata.get("labels", {}).items()}


def _target(address: str, port: int, labels: Mapping[str, str]) -> Object:
    host = f"[{address}]" if ":" in address else address
    return {
        "targets": [f"{host}:{port}"],
        "labels": {f"__meta_kubernetes_{key}": value for key, value in labels.items()},
    }


def chosen(monitors: list[Object], namespaces: list[Object]) -> list[Object]:
    """Those in namespaces that are labelled for the cluster's monitoring."""
    labelled = {
        each["metadata"]["name"] for each in namespaces if each["metadata"].get("labels", {}).get(LABEL) == "true"
    }
    return [each for each in monitors if each["metadata"]["namespace"] in labelled]


def jobs(monitor: Object, seen: Seen, secrets: Mapping[tuple[str, str], str]) -> list[Object]:
    """A job for each endpoint; `secrets`: by name and key."""
    role, endpoints = {
        "ServiceMonitor": ("endpoints", "endpoints"),
        "PodMonitor": ("pod", "podMetricsEndpoints"),
    }[monitor["kind"]]
    spec, metadata = monitor["spec"], monitor["metadata"]
    return [
        {
            "job_name": f"{monitor['kind']}/{metadata['namespace']}/{metadata['name']}/{number}",
            "honor_labels": endpoint.get("honorLabels", False),
            "scheme": endpoint.get("scheme", "http"),
            "metrics_path": endpoint.get("path", "/metrics"),
            "authorization": _authorization(endpoint, seen, secrets),
            "tls_config": _tls(endpoint.get("tlsConfig", {})),
            "static_configs": seen.targets(role),
            "relabel_configs": _chosen_targets(role, spec, endpoint["port"]),
            "metric_relabel_configs": [_relabeling(each) for each in endpoint.get("metricRelabelings", [])],
        }
        for number, endpoint in enumerate(spec[endpoints])
    ]


def groups(rule: Object, *, waits: str) -> list[Object]:
    """The groups of a PrometheusRule; every alert waits as long as the test has time."""
    return [group | {"rules": [each | {"for": waits} for each in group["rules"]]} for group in rule["spec"]["groups"]]


def _authorization(endpoint: Object, seen: Seen, secrets: Mapping[tuple[str, str], str]) -> Object:
    if "bearerTokenFile" in endpoint:
        assert endpoint["bearerTokenFile"] == TOKEN_FILE
        return {"credentials_file": seen.token_file}
    reference = endpoint["authorization"]["credentials"]
    return {"credentials": secrets[reference["name"], reference["key"]]}


def _tls(config: Object) -> Object:
    names = {
        "insecureSkipVerify": "insecure_skip_verify",
        "caFile": "ca_file",
        "certFile": "cert_file",
        "keyFile": "key_file",
        "serverName": "server_name",
    }
    return {names[key]: value for key, value in config.items()}


def _chosen_targets(role: str, spec: Object, port: str) -> list[Object]:
    """Which targets are kept, and the labels that each gets."""
    kind = "service" if role == "endpoints" else "pod"
    port_name = "endpoint_port_name" if role == "endpoints" else "pod_container_port_name"
    kept = [
        _keep(f"__meta_kubernetes_{kind}_label_{_plain(name)}", value)
        for name, value in spec["selector"]["matchLabels"].items()
    ]
    job = f"__meta_kubernetes_{kind}_label_{_plain(spec['jobLabel'])}"
    return [
        *kept,
        _keep(f"__meta_kubernetes_{port_name}", port),
        _take("__meta_kubernetes_namespace", "namespace"),
        _take("__meta_kubernetes_service_name", "service"),
        _take("__meta_kubernetes_pod_name", "pod"),
        _take(f"__meta_kubernetes_{kind}_name", "job"),
        _take(job, "job") | {"regex": "(.+)"},
        {"target_label": "endpoint", "replacement": port},
    ]


def _plain(name: str) -> str:
    return "".join(each if each.isalnum() else "_" for each in name)


def _keep(source: str, value: str) -> Object:
    return {"action": "keep", "source_labels": [source], "regex": value}


def _take(source: str, label: str) -> Object:
    return {"source_labels": [source], "target_label": label}


def _relabeling(rule: Object) -> Object:
    names = {"sourceLabels": "source_labels", "targetLabel": "target_label"}
    return {names.get(key, key): value for key, value in rule.items()}
