"""From a pod's API object to what the node agent runs.

What the lab cannot do is not dropped in silence: it is a refusal, a sentence that ends up in the container's status and
in an event.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import ceil
from typing import Literal

from kubelab.controllers.decide import quantity
from kubelab.kubelet.podspec import (
    ALL_CAPABILITIES,
    DEFAULT_CAPABILITIES,
    PROBE_KINDS,
    Container,
    DownwardFile,
    EmptyDir,
    EnvFrom,
    EnvVar,
    Exec,
    FieldRef,
    FilesVolume,
    HostPath,
    HttpGet,
    Item,
    Keys,
    Mount,
    Pod,
    Probe,
    ProbeKind,
    Ref,
    Security,
    Source,
    TcpSocket,
    Token,
    Volume,
)
from kubelab.objects import Json, Object


def parse(raw: Object) -> Pod:
    """A pod from its API object, which the API server has defaulted and validated."""
    meta, spec = raw["metadata"], raw.get("spec") or {}
    context = spec.get("securityContext") or {}
    volumes, volume_refusals = _volumes(spec)
    refusals = (*_pod_refusals(spec), *volume_refusals)
    grace = spec.get("terminationGracePeriodSeconds")
    deletion = meta.get("deletionGracePeriodSeconds") if meta.get("deletionTimestamp") else None
    grace_s = 30.0 if grace is None else float(grace)
    if meta.get("deletionTimestamp") and deletion is None:
        deletion = grace_s
    return Pod(
        namespace=str(meta.get("namespace") or ""),
        name=str(meta["name"]),
        uid=str(meta.get("uid") or ""),
        raw=raw,
        containers=tuple(_container(item, context, refusals) for item in spec.get("containers") or []),
        init_containers=tuple(_init_container(item, context, refusals) for item in spec.get("initContainers") or []),
        volumes=volumes,
        host_network=bool(spec.get("hostNetwork")),
        restart_policy=spec.get("restartPolicy") or "Always",
        grace_s=grace_s,
        deletion_grace_s=None if deletion is None else float(deletion),
        service_account=str(spec.get("serviceAccountName") or "default"),
        hostname=str(spec.get("hostname") or meta["name"])[:63].rstrip("-."),
        fs_group=context.get("fsGroup"),
        readiness_gates=tuple(str(gate.get("conditionType")) for gate in spec.get("readinessGates") or []),
    )


def _pod_refusals(spec: Object) -> Iterator[str]:
    for name in ("hostPID", "hostIPC", "shareProcessNamespace"):
        if spec.get(name):
            yield f"spec.{name}: the lab cannot share process or IPC namespaces"
    if (spec.get("securityContext") or {}).get("sysctls"):
        yield "spec.securityContext.sysctls: the lab does not set sysctls"


def _init_container(item: Object, context: Object, refusals: tuple[str, ...]) -> Container:
    if item.get("restartPolicy") == "Always":
        return replace(_container(item, context, refusals), is_sidecar=True)
    more = tuple(
        f"initContainers[{item['name']}].{name}: {why}"
        for name, why in (
            ("livenessProbe", "an init container has no probes"),
            ("readinessProbe", "an init container has no probes"),
            ("startupProbe", "an init container has no probes"),
        )
        if item.get(name)
    )
    return _container(item, context, (*refusals, *more))


def _container(item: Object, context: Object, refusals: tuple[str, ...]) -> Container:
    ports = {str(port["name"]): int(port["containerPort"]) for port in item.get("ports") or [] if port.get("name")}
    probes: dict[ProbeKind, Probe] = {}
    problems = list(refusals)
    for kind in PROBE_KINDS:
        if raw := item.get(f"{kind}Probe"):
            parsed = _probe(raw, ports)
            if isinstance(parsed, Probe):
                probes[kind] = parsed
            else:
                problems.append(f"containers[{item['name']}].{kind}Probe: {parsed}")
    security, security_problems = _security(item.get("securityContext") or {}, context)
    problems += [f"containers[{item['name']}].{problem}" for problem in security_problems]
    problems += [f"containers[{item['name']}].{problem}" for problem in _container_refusals(item)]
    return Container(
        name=str(item["name"]),
        image=str(item.get("image") or ""),
        command=tuple(map(str, item.get("command") or ())),
        args=tuple(map(str, item.get("args") or ())),
        working_dir=str(item.get("workingDir") or ""),
        env=tuple(_env(entry) for entry in item.get("env") or []),
        env_from=tuple(_env_from(entry) for entry in item.get("envFrom") or []),
        mounts=tuple(
            Mount(str(mount["name"]), str(mount["mountPath"]), bool(mount.get("readOnly")))
            for mount in item.get("volumeMounts") or []
        ),
        probes=probes,
        security=security,
        pull_never=item.get("imagePullPolicy") == "Never",
        termination_path=str(item.get("terminationMessagePath") or "/dev/termination-log"),
        log_is_message=item.get("terminationMessagePolicy") == "FallbackToLogsOnError",
        cpu_limit_millis=_cpu_limit(item.get("resources") or {}),
        refusals=tuple(problems),
    )


def _cpu_limit(resources: Object) -> int | None:
    """The API server lets only quantities in."""
    limit = (resources.get("limits") or {}).get("cpu")
    return None if limit is None else ceil(quantity.parse(limit) * 1000)


def _container_refusals(item: Object) -> Iterator[str]:
    for mount in item.get("volumeMounts") or []:
        if mount.get("subPath") or mount.get("subPathExpr"):
            yield f"volumeMounts[{mount['name']}].subPath: the lab mounts whole volumes only"
    if item.get("volumeDevices"):
        yield "volumeDevices: the lab has no block devices"
    if item.get("lifecycle"):
        yield "lifecycle: the lab runs no postStart or preStop hooks"
    for entry in item.get("env") or []:
        source = entry.get("valueFrom") or {}
        if source and not any(source.get(kind) for kind in ("fieldRef", "configMapKeyRef", "secretKeyRef")):
            yield f"env[{entry['name']}].valueFrom: the lab knows fieldRef, configMapKeyRef and secretKeyRef"


def _env(entry: Object) -> EnvVar:
    source = entry.get("valueFrom") or {}
    name = str(entry["name"])
    if reference := source.get("fieldRef"):
        return EnvVar(name, "", FieldRef(str(reference["fieldPath"])))
    for kind, known in (("configmap", "configMapKeyRef"), ("secret", "secretKeyRef")):
        if reference := source.get(known):
            optional = bool(reference.get("optional"))
            return EnvVar(name, "", Ref(kind, str(reference.get("name") or ""), str(reference["key"]), optional))  # type: ignore[arg-type]  # the two literals above
    return EnvVar(name, str(entry.get("value") or ""))


def _env_from(entry: Object) -> EnvFrom:
    secret = entry.get("secretRef")
    reference = secret or entry.get("configMapRef") or {}
    return EnvFrom(
        "secret" if secret else "configmap",
        str(reference.get("name") or ""),
        str(entry.get("prefix") or ""),
        bool(reference.get("optional")),
    )


def _probe(raw: Object, ports: Mapping[str, int]) -> Probe | str:
    action = _action(raw, ports)
    if isinstance(action, str):
        return action
    return Probe(
        action,
        initial_delay_s=float(raw.get("initialDelaySeconds") or 0),
        period_s=float(raw.get("periodSeconds") or 10),
        timeout_s=float(raw.get("timeoutSeconds") or 1),
        success_threshold=int(raw.get("successThreshold") or 1),
        failure_threshold=int(raw.get("failureThreshold") or 3),
    )


def _action(raw: Object, ports: Mapping[str, int]) -> HttpGet | TcpSocket | Exec | str:
    if get := raw.get("httpGet"):
        port = _port(get.get("port"), ports)
        headers = tuple((str(item["name"]), str(item.get("value") or "")) for item in get.get("httpHeaders") or [])
        path = str(get.get("path") or "/")
        https = str(get.get("scheme") or "HTTP").upper() == "HTTPS"
        if port is None:
            return f"no container port is named {get.get('port')!r}"
        return HttpGet(str(get.get("host") or ""), port, path if path.startswith("/") else f"/{path}", https, headers)
    if tcp := raw.get("tcpSocket"):
        port = _port(tcp.get("port"), ports)
        if port is None:
            return f"no container port is named {tcp.get('port')!r}"
        return TcpSocket(str(tcp.get("host") or ""), port)
    if run := raw.get("exec"):
        return Exec(tuple(map(str, run.get("command") or ())))
    return "the lab knows httpGet, tcpSocket and exec"


def _port(value: Json, ports: Mapping[str, int]) -> int | None:
    if isinstance(value, int):
        return value
    text = str(value)
    return int(text) if text.isdigit() else ports.get(text)


def _security(own: Object, pod: Object) -> tuple[Security, list[str]]:
    changes = own.get("capabilities") or {}
    dropped, added = _capability_names(changes.get("drop")), _capability_names(changes.get("add"))
    privileged = bool(own.get("privileged"))
    kept: frozenset[str] = frozenset() if "ALL" in dropped else DEFAULT_CAPABILITIES - dropped
    wanted = ALL_CAPABILITIES if privileged or "ALL" in added else kept | (added & ALL_CAPABILITIES)
    problems = [
        f"securityContext.capabilities: no capability is called {name}"
        for name in sorted((dropped | added) - ALL_CAPABILITIES - {"ALL"})
    ]
    user = own.get("runAsUser", pod.get("runAsUser"))
    non_root = bool(own.get("runAsNonRoot", pod.get("runAsNonRoot")))
    if non_root and user == 0:
        problems.append("securityContext: container's runAsUser breaks non-root policy")
    groups = [int(group) for group in pod.get("supplementalGroups") or []]
    if pod.get("fsGroup") is not None:
        groups.append(int(pod["fsGroup"]))
    security = Security(
        capabilities=wanted,
        privileged=privileged,
        read_only_root=bool(own.get("readOnlyRootFilesystem")),
        user=user,
        group=own.get("runAsGroup", pod.get("runAsGroup")),
        groups=tuple(groups),
        non_root=non_root,
        no_new_privileges=own.get("allowPrivilegeEscalation") is False,
    )
    return security, problems


def _capability_names(names: Json) -> frozenset[str]:
    return frozenset(str(name).upper().removeprefix("CAP_") for name in names or ())


def _volumes(spec: Object) -> tuple[dict[str, Volume], tuple[str, ...]]:
    volumes: dict[str, Volume] = {}
    refusals: list[str] = []
    for raw in spec.get("volumes") or []:
        volume = _volume(raw)
        if volume is None:
            kinds = ", ".join(sorted(set(raw) - {"name"})) or "nothing"
            refusals.append(f"volumes[{raw['name']}]: the lab has no volumes of kind {kinds}")
        else:
            volumes[str(raw["name"])] = volume
    return volumes, tuple(refusals)


def _volume(raw: Object) -> Volume | None:
    if "emptyDir" in raw:
        return EmptyDir()
    if path := raw.get("hostPath"):
        return HostPath(str(path["path"]), str(path.get("type") or ""))
    if "projected" in raw:
        projected = raw["projected"]
        sources = [source for item in projected.get("sources") or [] for source in _sources(item)]
        return FilesVolume(tuple(sources), _mode(projected))
    return _single_source(raw)


def _single_source(raw: Object) -> Volume | None:
    if "configMap" in raw:
        return FilesVolume((_keys("configmap", raw["configMap"], "name"),), _mode(raw["configMap"]))
    if "secret" in raw:
        return FilesVolume((_keys("secret", raw["secret"], "secretName"),), _mode(raw["secret"]))
    if "downwardAPI" in raw:
        return FilesVolume(tuple(_downward(raw["downwardAPI"])), _mode(raw["downwardAPI"]))
    return None


def _mode(raw: Object) -> int:
    mode = raw.get("defaultMode")
    return 0o644 if mode is None else int(mode)


def _sources(item: Object) -> Iterator[Source]:
    if "configMap" in item:
        yield _keys("configmap", item["configMap"], "name")
    if "secret" in item:
        yield _keys("secret", item["secret"], "name")
    if "downwardAPI" in item:
        yield from _downward(item["downwardAPI"])
    if token := item.get("serviceAccountToken"):
        yield Token(str(token["path"]), str(token.get("audience") or ""), int(token.get("expirationSeconds") or 3600))


def _keys(kind: Literal["configmap", "secret"], raw: Object, name: str) -> Keys:
    items = tuple(Item(str(item["key"]), str(item["path"]), item.get("mode")) for item in raw.get("items") or [])
    return Keys(kind, str(raw.get(name) or ""), items, bool(raw.get("optional")))


def _downward(raw: Object) -> Iterator[DownwardFile]:
    for item in raw.get("items") or []:
        path = (item.get("fieldRef") or {}).get("fieldPath") or ""
        yield DownwardFile(str(item["path"]), str(path), item.get("mode"))
