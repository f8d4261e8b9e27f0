"""Rules of a pod's containers: names, images, ports, environment, mounts, probes, resources."""

from __future__ import annotations

from typing import Final

from kubelab.apiserver.builtin import fields, names, quantities
from kubelab.apiserver.builtin.fields import entries, items
from kubelab.apiserver.builtin.service_rules import protocol_errors, target_port_errors
from kubelab.apiserver.errors import FieldError
from kubelab.objects import Object

_PULL: Final = frozenset({"Always", "IfNotPresent", "Never"})
_FIELD_PATHS: Final = frozenset(
    {
        "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
        "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
    }
)  # fmt: skip
_RESTART: Final = frozenset({"Always", "Never", "OnFailure"})
_SOURCES: Final = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef")
_ACTIONS: Final = ("exec", "httpGet", "tcpSocket", "grpc")


def containers_errors(spec: Object, path: str, volumes: frozenset[str]) -> list[FieldError]:
    """Every broken rule of all containers; names are unique among init containers and containers."""
    containers = items(spec.get("containers"))
    if not containers:
        return [fields.required(f"{path}.containers")]
    errors: list[FieldError] = []
    seen: set[str] = set()
    for field in ("containers", "initContainers"):
        for number, container in enumerate(items(spec.get(field))):
            place = f"{path}.{field}[{number}]"
            errors += _container_errors(container, place, volumes, host_network=bool(spec.get("hostNetwork")))
            name = container.get("name")
            if name and name in seen:
                errors.append(fields.duplicate(f"{place}.name", name))
            seen.add(name or "")
    return errors


def _container_errors(container: Object, path: str, volumes: frozenset[str], *, host_network: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    name, image = container.get("name") or "", container.get("image") or ""
    errors += names.syntax_errors(f"{path}.name", name, names.dns_label) if name else [fields.required(f"{path}.name")]
    if not image:
        errors.append(fields.required(f"{path}.image"))
    elif image != image.strip():
        errors.append(fields.invalid(f"{path}.image", image, "must not have leading or trailing whitespace"))
    restart = container.get("restartPolicy")
    if restart is not None and restart not in _RESTART:
        errors.append(fields.unsupported(f"{path}.restartPolicy", restart, _RESTART))
    policy = container.get("terminationMessagePolicy")
    if policy not in {"File", "FallbackToLogsOnError"}:
        supported = ("File", "FallbackToLogsOnError")
        errors.append(fields.unsupported(f"{path}.terminationMessagePolicy", policy, supported))
    errors += _ports_errors(items(container.get("ports")), f"{path}.ports", host_network=host_network)
    for number, variable in enumerate(items(container.get("env"))):
        errors += _variable_errors(variable, f"{path}.env[{number}]")
    errors += _mount_errors(items(container.get("volumeMounts")), f"{path}.volumeMounts", volumes)
    if container.get("imagePullPolicy") not in _PULL:
        errors.append(fields.unsupported(f"{path}.imagePullPolicy", container.get("imagePullPolicy"), _PULL))
    errors += _resource_errors(entries(container.get("resources")), f"{path}.resources")
    errors += _security_errors(container.get("securityContext"), f"{path}.securityContext")
    return [*errors, *_probes_errors(container, path)]


def _ports_errors(ports: list[Object], path: str, *, host_network: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for number, port in enumerate(ports):
        place = f"{path}[{number}]"
        name = port.get("name")
        if name:
            errors += names.syntax_errors(f"{place}.name", name, names.port_name)
            if name in seen:
                errors.append(fields.duplicate(f"{place}.name", name))
            seen.add(name)
        inside, outside = port.get("containerPort", 0), port.get("hostPort") or 0
        if not inside:
            errors.append(fields.required(f"{place}.containerPort"))
        else:
            errors += [fields.invalid(f"{place}.containerPort", inside, one) for one in names.port_number(inside)]
        if outside:
            errors += [fields.invalid(f"{place}.hostPort", outside, one) for one in names.port_number(outside)]
        if host_network and outside and outside != inside:
            refused = "must match `hostPort` when `hostNetwork` is true"
            errors.append(fields.invalid(f"{place}.containerPort", inside, refused))
        errors += protocol_errors(port, place)
    return errors


def _variable_errors(variable: Object, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    name = variable.get("name") or ""
    if not name:
        errors.append(fields.required(f"{path}.name"))
    else:
        errors += names.syntax_errors(f"{path}.name", name, names.environment_name)
    source = variable.get("valueFrom")
    if source is None:
        return errors
    path = f"{path}.valueFrom"
    given = [kind for kind in _SOURCES if source.get(kind) is not None]
    if not given:
        refused = f"must specify one of: {', '.join(f'`{kind}`' for kind in _SOURCES[:-1])} or `{_SOURCES[-1]}`"
        return [*errors, fields.invalid(path, "", refused)]
    if variable.get("value"):
        return [*errors, fields.invalid(path, "", "may not be specified when `value` is not empty")]
    if len(given) > 1:
        return [*errors, fields.invalid(path, "", "may not have more than one field specified at a time")]
    return [*errors, *_source_errors(given[0], source[given[0]], f"{path}.{given[0]}")]


def _source_errors(kind: str, source: Object, path: str) -> list[FieldError]:
    if kind == "fieldRef":
        wanted = source.get("fieldPath") or ""
        if not wanted:
            return [fields.required(f"{path}.fieldPath")]
        if wanted.startswith(("metadata.labels['", "metadata.annotations['")) or wanted in _FIELD_PATHS:
            return []
        return [fields.unsupported(f"{path}.fieldPath", wanted, _FIELD_PATHS)]
    if kind == "resourceFieldRef":
        return [] if source.get("resource") else [fields.required(f"{path}.resource")]
    errors = [] if source.get("name") else [fields.required(f"{path}.name")]
    if not source.get("key"):
        return [*errors, fields.required(f"{path}.key")]
    return [*errors, *names.syntax_errors(f"{path}.key", source["key"], names.config_key)]


def _mount_errors(mounts: list[Object], path: str, volumes: frozenset[str]) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for number, mount in enumerate(mounts):
        place = f"{path}[{number}]"
        name, where = mount.get("name") or "", mount.get("mountPath") or ""
        if not name:
            errors.append(fields.required(f"{place}.name"))
        if name not in volumes:
            errors.append(fields.not_found(f"{place}.name", name))
        if not where:
            errors.append(fields.required(f"{place}.mountPath"))
        if where in seen:
            errors.append(fields.invalid(f"{place}.mountPath", where, "must be unique"))
        seen.add(where)
        below = mount.get("subPath") or ""
        if below.startswith("/"):
            errors.append(fields.invalid(f"{place}.subPath", below, "must be a relative path"))
        if ".." in below.split("/"):
            errors.append(fields.invalid(f"{place}.subPath", below, "must not contain '..'"))
    return errors


def _resource_errors(resources: Object, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    limits, requests = entries(resources.get("limits")), entries(resources.get("requests"))
    for field, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            place = f"{path}.{field}[{name}]"
            try:
                negative = quantities.parse(amount) < 0
            except ValueError as error:
                return [fields.invalid(place, amount, str(error))]
            if negative:
                errors.append(fields.invalid(place, amount, names.NOT_NEGATIVE))
    for name, amount in requests.items():
        limit = limits.get(name)
        if limit is not None and quantities.parse(amount) > quantities.parse(limit):
            refused = f"must be less than or equal to {name} limit of {limit}"
            errors.append(fields.invalid(f"{path}.requests", amount, refused))
    return errors


def _security_errors(context: Object | None, path: str) -> list[FieldError]:
    if context is None:
        return []
    errors = [
        fields.invalid(f"{path}.{field}", context[field], "must be between 0 and 2147483647, inclusive")
        for field in ("runAsUser", "runAsGroup")
        if context.get(field) is not None and not 0 <= context[field] < 1 << 31
    ]
    if context.get("allowPrivilegeEscalation") is False and context.get("privileged"):
        refused = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
        errors.append(fields.invalid(path, context, refused))
    return errors


def _probes_errors(container: Object, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = container.get(name)
        if probe is None:
            continue
        place = f"{path}.{name}"
        errors += _probe_errors(probe, place)
        if name != "readinessProbe" and probe.get("successThreshold", 1) != 1:
            errors.append(fields.invalid(f"{place}.successThreshold", probe["successThreshold"], "must be 1"))
    return errors


def _probe_errors(probe: Object, path: str) -> list[FieldError]:
    given = [kind for kind in _ACTIONS if probe.get(kind) is not None]
    if not given:
        return [fields.required(path, "must specify a handler type")]
    errors = [fields.forbidden(f"{path}.{kind}", "may not specify more than 1 handler type") for kind in given[1:]]
    action = probe[given[0]]
    if given[0] in {"httpGet", "tcpSocket"}:
        errors += target_port_errors(action.get("port", 0), f"{path}.{given[0]}.port")
    if given[0] == "exec" and not action.get("command"):
        errors.append(fields.required(f"{path}.exec.command"))
    for field in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
        if (probe.get(field) or 0) < 0:
            errors.append(fields.invalid(f"{path}.{field}", probe[field], names.NOT_NEGATIVE))
    return errors
