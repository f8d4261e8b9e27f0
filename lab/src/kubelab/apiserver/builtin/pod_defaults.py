"""Defaults of pods and pod templates (core/v1 `SetDefaults_PodSpec` and what it calls)."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from kubelab.apiserver.builtin import quantities
from kubelab.apiserver.builtin.fields import entries, items
from kubelab.apiserver.builtin.kind import drop_empty, set_default
from kubelab.objects import Object

_FILE_MODE: Final = 0o644
_GRACE_S: Final = 30
_TOKEN_LIFE_S: Final = 3600
_PROBE: Final = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
_PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")
_OPTIONAL_LISTS: Final = (
    "volumes", "initContainers", "ephemeralContainers", "nodeSelector", "imagePullSecrets", "tolerations",
    "hostAliases", "readinessGates", "topologySpreadConstraints", "schedulingGates", "resourceClaims",
    "overhead", "nodeName", "serviceAccountName", "serviceAccount", "hostname", "subdomain", "priorityClassName",
)  # fmt: skip
_CONTAINER_LISTS: Final = ("command", "args", "ports", "env", "envFrom", "volumeMounts", "volumeDevices", "workingDir")
_SOURCES_WITH_MODE: Final = ("secret", "configMap", "downwardAPI", "projected")


def default_pod(pod: Object) -> None:
    """Defaults of a pod itself: beyond those of a template, requests follow limits and host ports container ports."""
    spec: Object = pod.setdefault("spec", {})
    default_spec(spec)
    set_default(spec, "enableServiceLinks", True)
    for container in all_containers(spec):
        _request_limits(container)
        if spec.get("hostNetwork"):
            for port in items(container.get("ports")):
                if not port.get("hostPort"):
                    port["hostPort"] = port.get("containerPort", 0)


def default_template(template: Object) -> None:
    """Defaults of a pod template."""
    default_spec(template.setdefault("spec", {}))
    metadata = template.setdefault("metadata", {})
    drop_empty(metadata, "creationTimestamp", "labels", "annotations")


def all_containers(spec: Object) -> list[Object]:
    """Init containers and containers."""
    return [*items(spec.get("initContainers")), *items(spec.get("containers"))]


def default_spec(spec: Object) -> None:
    """Defaults that pods and templates share."""
    drop_empty(spec, *_OPTIONAL_LISTS)
    for field, value in (
        ("restartPolicy", "Always"),
        ("terminationGracePeriodSeconds", _GRACE_S),
        ("dnsPolicy", "ClusterFirst"),
        ("schedulerName", "default-scheduler"),
    ):
        if spec.get(field) in (None, ""):
            spec[field] = value
    set_default(spec, "securityContext", {})
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field) is False:
            del spec[field]
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        # The old name of the field is still kept in step.
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    for volume in items(spec.get("volumes")):
        _default_volume(volume)
    for container in all_containers(spec):
        _default_container(container)


def _default_container(container: Object) -> None:
    drop_empty(container, *_CONTAINER_LISTS)
    for field, value in (("terminationMessagePath", "/dev/termination-log"), ("terminationMessagePolicy", "File")):
        if not container.get(field):
            container[field] = value
    if not container.get("imagePullPolicy"):
        container["imagePullPolicy"] = _pull_policy(container.get("image", ""))
    for port in items(container.get("ports")):
        if not port.get("protocol"):
            port["protocol"] = "TCP"
        drop_empty(port, "name", "hostIP")
    for variable in items(container.get("env")):
        _default_field_reference(entries(variable.get("valueFrom")).get("fieldRef"))
        drop_empty(variable, "value")
    set_default(container, "resources", {})
    _canonicalise(container["resources"])
    for name in _PROBES:
        if container.get(name) is not None:
            _default_probe(container[name])
    for hook in entries(container.get("lifecycle")).values():
        _default_http(entries(hook).get("httpGet"))


def _pull_policy(image: str) -> str:
    """Always for what may change under its name: no tag or `latest`."""
    name, _, digest = image.partition("@")
    if digest:
        return "IfNotPresent"
    tag = name.rpartition("/")[2].partition(":")[2]
    return "Always" if tag in {"", "latest"} else "IfNotPresent"


def _default_probe(probe: Object) -> None:
    for field, value in _PROBE.items():
        if not probe.get(field):
            probe[field] = value
    _default_http(probe.get("httpGet"))
    if probe.get("grpc") is not None:
        set_default(probe["grpc"], "service", "")


def _default_http(action: Object | None) -> None:
    if action is not None:
        for field, value in (("path", "/"), ("scheme", "HTTP")):
            if not action.get(field):
                action[field] = value


def _default_field_reference(reference: Object | None) -> None:
    if reference is not None and not reference.get("apiVersion"):
        reference["apiVersion"] = "v1"


def _default_volume(volume: Object) -> None:
    if not any(value is not None for key, value in volume.items() if key != "name"):
        volume["emptyDir"] = {}
    for kind in _SOURCES_WITH_MODE:
        source = volume.get(kind)
        if source is not None:
            set_default(source, "defaultMode", _FILE_MODE)
    if volume.get("hostPath") is not None:
        set_default(volume["hostPath"], "type", "")
    for item in items(entries(volume.get("downwardAPI")).get("items")):
        _default_field_reference(item.get("fieldRef"))
    for source in items(entries(volume.get("projected")).get("sources")):
        if source.get("serviceAccountToken") is not None:
            set_default(source["serviceAccountToken"], "expirationSeconds", _TOKEN_LIFE_S)
        for item in items(entries(source.get("downwardAPI")).get("items")):
            _default_field_reference(item.get("fieldRef"))


def _canonicalise(resources: Object) -> None:
    for field in ("limits", "requests"):
        amounts = entries(resources.get(field))
        for name, amount in amounts.items():
            # What is no quantity is for validation to refuse.
            with suppress(ValueError):
                amounts[name] = quantities.canonical(amount)


def _request_limits(container: Object) -> None:
    resources = container["resources"]
    limits = entries(resources.get("limits"))
    if limits:
        resources["requests"] = {**limits, **entries(resources.get("requests"))}


def quality_of_service(spec: Object) -> str:
    """The pod's QoS class by its containers' requests and limits of CPU and memory."""
    named = False
    guaranteed = True
    for container in all_containers(spec):
        resources = container.get("resources") or {}
        requests, limits = entries(resources.get("requests")), entries(resources.get("limits"))
        for name in ("cpu", "memory"):
            asked, limit = _amount(requests, name), _amount(limits, name)
            named = named or asked > 0 or limit > 0
            guaranteed = guaranteed and limit > 0 and asked == limit
    if not named:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _amount(amounts: Object, name: str) -> float:
    try:
        return float(quantities.parse(amounts.get(name, "0")))
    except ValueError:
        return 0
