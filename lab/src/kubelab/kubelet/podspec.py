"""A pod as the node agent runs it: frozen values (parsed by `podparse`).

Field meanings: kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from kubelab.objects import Object

ProbeKind: TypeAlias = Literal["startup", "liveness", "readiness"]
PROBE_KINDS: tuple[ProbeKind, ...] = ("startup", "liveness", "readiness")
RestartPolicy: TypeAlias = Literal["Always", "OnFailure", "Never"]

# fmt: off
# What a container may do when its manifest says nothing (containerd's and Docker's default set).
DEFAULT_CAPABILITIES = frozenset((
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW",
    "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
))
ALL_CAPABILITIES = DEFAULT_CAPABILITIES | frozenset((
    "AUDIT_CONTROL", "AUDIT_READ", "BLOCK_SUSPEND", "BPF", "CHECKPOINT_RESTORE", "DAC_READ_SEARCH", "IPC_LOCK",
    "IPC_OWNER", "LEASE", "LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "NET_ADMIN", "NET_BROADCAST", "PERFMON",
    "SYSLOG", "SYS_ADMIN", "SYS_BOOT", "SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "WAKE_ALARM",
))
# fmt: on


@dataclass(frozen=True, slots=True)
class Ref:
    """One value of a ConfigMap or Secret; `kind` is configmap or secret, as messages write it."""

    kind: Literal["configmap", "secret"]
    name: str
    key: str
    optional: bool


@dataclass(frozen=True, slots=True)
class FieldRef:
    """A field of the pod itself, by its path."""

    path: str


@dataclass(frozen=True, slots=True)
class EnvVar:
    """An environment variable: a literal with `$(NAME)` references, or where its value comes from."""

    name: str
    value: str
    source: Ref | FieldRef | None = None


@dataclass(frozen=True, slots=True)
class EnvFrom:
    """All keys of a ConfigMap or Secret as variables."""

    kind: Literal["configmap", "secret"]
    name: str
    prefix: str
    optional: bool


@dataclass(frozen=True, slots=True)
class HttpGet:
    """A GET; an empty host is the pod's address. Status 200 to 399 is success."""

    host: str
    port: int
    path: str
    https: bool
    headers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class TcpSocket:
    """A connection that opens is success; an empty host is the pod's address."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Exec:
    """A command inside the container; exit code 0 is success."""

    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Probe:
    """What to ask and when, in seconds; the thresholds count consecutive answers."""

    action: HttpGet | TcpSocket | Exec
    initial_delay_s: float = 0
    period_s: float = 10
    timeout_s: float = 1
    success_threshold: int = 1
    failure_threshold: int = 3


@dataclass(frozen=True, slots=True)
class Mount:
    """Where a volume appears in a container."""

    volume: str
    path: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class Security:
    """What a container's processes may do. `user`, `group` None: those of the image, root where the map runs it."""

    capabilities: frozenset[str] = DEFAULT_CAPABILITIES
    privileged: bool = False
    read_only_root: bool = False
    user: int | None = None
    group: int | None = None
    groups: tuple[int, ...] = ()
    non_root: bool = False
    no_new_privileges: bool = False


@dataclass(frozen=True, slots=True)
class Container:
    """One container, init or not."""

    name: str
    image: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    env: tuple[EnvVar, ...] = ()
    env_from: tuple[EnvFrom, ...] = ()
    mounts: tuple[Mount, ...] = ()
    probes: Mapping[ProbeKind, Probe] = field(default_factory=dict)
    security: Security = Security()
    pull_never: bool = False
    termination_path: str = "/dev/termination-log"
    log_is_message: bool = False
    is_sidecar: bool = False
    """An init container that goes on beside the others (KEP-753)."""
    cpu_limit_millis: int | None = None
    """Thousandths of a processor that it may use; None: all."""
    refusals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """One key of a source as one file; `mode` None is the volume's default."""

    key: str
    path: str
    mode: int | None


@dataclass(frozen=True, slots=True)
class Keys:
    """A ConfigMap or Secret as files: all its keys, or the items named."""

    kind: Literal["configmap", "secret"]
    name: str
    items: tuple[Item, ...]
    optional: bool


@dataclass(frozen=True, slots=True)
class DownwardFile:
    """A pod field as a file."""

    path: str
    field_path: str
    mode: int | None


@dataclass(frozen=True, slots=True)
class Token:
    """A service-account token as a file, renewed before it expires."""

    path: str
    audience: str
    expiration_s: int


Source: TypeAlias = Keys | DownwardFile | Token


@dataclass(frozen=True, slots=True)
class FilesVolume:
    """A volume whose files the agent writes and keeps up to date: configMap, secret, downwardAPI, projected."""

    sources: tuple[Source, ...]
    mode: int


@dataclass(frozen=True, slots=True)
class EmptyDir:
    """A directory that lives as long as the pod."""


@dataclass(frozen=True, slots=True)
class HostPath:
    """A path outside; `kind` is the hostPath type ('' checks nothing)."""

    path: str
    kind: str


Volume: TypeAlias = FilesVolume | EmptyDir | HostPath


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod as far as running it goes. `raw` is its API object, `deletion_grace_s` None: it is not being deleted."""

    namespace: str
    name: str
    uid: str
    raw: Object
    containers: tuple[Container, ...]
    init_containers: tuple[Container, ...]
    volumes: Mapping[str, Volume]
    host_network: bool
    restart_policy: RestartPolicy
    grace_s: float
    deletion_grace_s: float | None
    service_account: str
    hostname: str
    fs_group: int | None
    readiness_gates: tuple[str, ...]

    @property
    def label(self) -> str:
        """As the kubelet names a pod in messages: `name_namespace(uid)`."""
        return f"{self.name}_{self.namespace}({self.uid})"

    def container(self, name: str) -> Container | None:
        """A container of either kind by name."""
        return next((item for item in (*self.init_containers, *self.containers) if item.name == name), None)
