"""Pod Security: the standards `baseline` and `restricted` as checks, and a namespace's labels as verdict (KEP-2579)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from kubelab.apiserver.builtin.fields import entries, items, shown
from kubelab.objects import GroupResource, Object

_PREFIX: Final = "pod-security.kubernetes.io/"
_TEMPLATES: Final = frozenset(
    GroupResource(group, resource)
    for group, resource in (
        ("apps", "daemonsets"),
        ("apps", "deployments"),
        ("apps", "replicasets"),
        ("apps", "statefulsets"),
        ("batch", "jobs"),
    )
)
_BASELINE_CAPABILITIES: Final = frozenset(
    {
        "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
        "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
    }
)  # fmt: skip
_OPEN_VOLUMES: Final = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
)
_SECCOMP: Final = frozenset({"RuntimeDefault", "Localhost"})
_SAFE_SYSCTLS: Final = frozenset(
    {
        "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
    }
)  # fmt: skip


class Verdict(NamedTuple):
    """What a namespace's labels say of a pod."""

    refusal: str
    """Why it is refused; empty if it is not."""
    warnings: list[str]


def pod_of(resource: GroupResource, obj: Object) -> Object | None:
    """The spec of a pod, or of the pods that an object makes; None for objects that make none."""
    if resource == GroupResource("", "pods"):
        return entries(obj.get("spec"))
    if resource in _TEMPLATES:
        return entries(entries(entries(obj.get("spec")).get("template")).get("spec"))
    return None


def verdict(labels: Mapping[str, str], spec: Object) -> Verdict:
    """Judge a pod spec by the labels of its namespace."""
    refusal, warnings = "", []
    for mode, words in (("enforce", "violates"), ("warn", "would violate")):
        level = labels.get(f"{_PREFIX}{mode}", "privileged")
        problems = violations(level, spec)
        if problems:
            version = labels.get(f"{_PREFIX}{mode}-version", "latest")
            text = f'{words} PodSecurity "{level}:{version}": {", ".join(problems)}'
            if mode == "enforce":
                refusal = text
            else:
                warnings.append(text)
    return Verdict(refusal, warnings)


def violations(level: str, spec: Object) -> list[str]:
    """What in a pod spec a level does not allow; unknown levels are as strict as can be."""
    if level == "privileged":
        return []
    checks = _BASELINE if level == "baseline" else _RESTRICTED
    return [problem for check in checks if (problem := check(spec))]


def _containers(spec: Object) -> list[Object]:
    return [one for field in ("initContainers", "containers", "ephemeralContainers") for one in items(spec.get(field))]


def _security(container: Object) -> Object:
    return entries(container.get("securityContext"))


def _names(word: str, names: list[str]) -> str:
    return f"{word}{'s' if len(names) > 1 else ''} {', '.join(shown(name) for name in names)}"


def _bad(spec: Object, is_bad: Callable[[Object], bool]) -> list[str]:
    return [one.get("name", "") for one in _containers(spec) if is_bad(one)]


def _added(container: Object) -> list[str]:
    return items(entries(_security(container).get("capabilities")).get("add"))


def _capabilities(spec: Object) -> str:
    bad = _bad(spec, lambda one: bool(set(_added(one)) - _BASELINE_CAPABILITIES))
    if not bad:
        return ""
    every = {shown(name) for one in _containers(spec) for name in _added(one) if name not in _BASELINE_CAPABILITIES}
    listed = ", ".join(sorted(every))
    refused = f"must not include {listed} in securityContext.capabilities.add"
    return f"non-default capabilities ({_names('container', bad)} {refused})"


def _host_namespaces(spec: Object) -> str:
    shared = [f"{field}=true" for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field)]
    return f"host namespaces ({', '.join(shared)})" if shared else ""


def _host_paths(spec: Object) -> str:
    bad = [volume.get("name", "") for volume in items(spec.get("volumes")) if volume.get("hostPath") is not None]
    return f"hostPath volumes ({_names('volume', bad)})" if bad else ""


def _host_ports(spec: Object) -> str:
    def used(container: Object) -> list[int]:
        return [port["hostPort"] for port in items(container.get("ports")) if port.get("hostPort")]

    bad = _bad(spec, lambda one: bool(used(one)))
    if not bad:
        return ""
    ports = sorted({port for one in _containers(spec) for port in used(one)})
    uses = "uses" if len(bad) == 1 else "use"
    word = "hostPort" if len(ports) == 1 else "hostPorts"
    return f"hostPort ({_names('container', bad)} {uses} {word} {', '.join(map(str, ports))})"


def _privileged(spec: Object) -> str:
    bad = _bad(spec, lambda one: bool(_security(one).get("privileged")))
    return f"privileged ({_names('container', bad)} must not set securityContext.privileged=true)" if bad else ""


def _proc_mount(spec: Object) -> str:
    bad = _bad(spec, lambda one: _security(one).get("procMount", "Default") != "Default")
    if not bad:
        return ""
    return f'procMount ({_names("container", bad)} must not set securityContext.procMount to "Unmasked")'


def _seccomp_baseline(spec: Object) -> str:
    def unconfined(holder: Object) -> bool:
        return bool(entries(entries(holder.get("securityContext")).get("seccompProfile")).get("type") == "Unconfined")

    where = (["pod"] if unconfined(spec) else []) + (
        [_names("container", bad)] if (bad := _bad(spec, unconfined)) else []
    )
    if not where:
        return ""
    return f'seccompProfile ({" and ".join(where)} must not set securityContext.seccompProfile.type to "Unconfined")'


def _sysctls(spec: Object) -> str:
    names = [one.get("name", "") for one in items(entries(spec.get("securityContext")).get("sysctls"))]
    unsafe = [name for name in names if name not in _SAFE_SYSCTLS]
    return f"forbidden sysctls ({', '.join(unsafe)})" if unsafe else ""


def _escalation(spec: Object) -> str:
    bad = _bad(spec, lambda one: _security(one).get("allowPrivilegeEscalation") is not False)
    if not bad:
        return ""
    wanted = "must set securityContext.allowPrivilegeEscalation=false"
    return f"allowPrivilegeEscalation != false ({_names('container', bad)} {wanted})"


def _restricted_capabilities(spec: Object) -> str:
    def keeps(container: Object) -> bool:
        return "ALL" not in items(entries(_security(container).get("capabilities")).get("drop"))

    parts = []
    keeping = _bad(spec, keeps)
    if keeping:
        parts.append(f'{_names("container", keeping)} must set securityContext.capabilities.drop=["ALL"]')
    adding = _bad(spec, lambda one: bool(set(_added(one)) - {"NET_BIND_SERVICE"}))
    if adding:
        every = {shown(name) for one in _containers(spec) for name in _added(one) if name != "NET_BIND_SERVICE"}
        listed = ", ".join(sorted(every))
        parts.append(f"{_names('container', adding)} must not include {listed} in securityContext.capabilities.add")
    return f"unrestricted capabilities ({'; '.join(parts)})" if parts else ""


def _restricted_volumes(spec: Object) -> str:
    found: dict[str, list[str]] = {}
    for volume in items(spec.get("volumes")):
        for kind in volume:
            if kind != "name" and kind not in _OPEN_VOLUMES:
                found.setdefault(kind, []).append(volume.get("name", ""))
    if not found:
        return ""
    bad = [name for names in found.values() for name in names]
    uses = "uses" if len(bad) == 1 else "use"
    kinds = _names("restricted volume type", sorted(found))
    return f"restricted volume types ({_names('volume', bad)} {uses} {kinds})"


def _non_root(spec: Object) -> str:
    pod = entries(spec.get("securityContext")).get("runAsNonRoot")
    explicit = _bad(spec, lambda one: _security(one).get("runAsNonRoot") is False)
    if explicit:
        return f"runAsNonRoot != true ({_names('container', explicit)} must not set securityContext.runAsNonRoot=false)"
    if pod is True:
        return ""
    if pod is False:
        return "runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false)"
    silent = _bad(spec, lambda one: _security(one).get("runAsNonRoot") is None)
    if not silent:
        return ""
    return f"runAsNonRoot != true (pod or {_names('container', silent)} must set securityContext.runAsNonRoot=true)"


def _root_user(spec: Object) -> str:
    where = ["pod"] if entries(spec.get("securityContext")).get("runAsUser") == 0 else []
    bad = _bad(spec, lambda one: _security(one).get("runAsUser") == 0)
    where += [_names("container", bad)] if bad else []
    return f"runAsUser=0 ({' and '.join(where)} must not set runAsUser=0)" if where else ""


def _seccomp_restricted(spec: Object) -> str:
    def profile(holder: Object) -> Any:
        return entries(entries(holder.get("securityContext")).get("seccompProfile")).get("type")

    refused = 'must not set securityContext.seccompProfile.type to "Unconfined"'
    wrong = _bad(spec, lambda one: profile(one) is not None and profile(one) not in _SECCOMP)
    if wrong:
        return f"seccompProfile ({_names('container', wrong)} {refused})"
    if profile(spec) in _SECCOMP:
        return ""
    if profile(spec) is not None:
        return f"seccompProfile (pod {refused})"
    silent = _bad(spec, lambda one: profile(one) is None)
    if not silent:
        return ""
    wanted = 'must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    return f"seccompProfile (pod or {_names('container', silent)} {wanted})"


# In the order in which the real server lists what it finds; `restricted` puts some checks in the place of others.
_COMMON: Final = (_host_ports, _privileged, _proc_mount)
_BASELINE: Final = (
    _capabilities,
    _host_namespaces,
    _host_paths,
    *_COMMON,
    _seccomp_baseline,
    _sysctls,
)
_RESTRICTED: Final = (
    _host_namespaces,
    *_COMMON,
    _sysctls,
    _escalation,
    _restricted_capabilities,
    _restricted_volumes,
    _non_root,
    _root_user,
    _seccomp_restricted,
)
