"""The command line that runs a container of an image with a root file system of its own. Pure.

The runtime is crun, one of those that nodes of real clusters have: what it makes of users, capabilities and
no-new-privileges is what a cluster makes of them. A shell is the container's monitor: it mounts the layers, in a mount
namespace that ends with the container, and writes how the program ended. The program is process 1 of its container.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kubelab.kubelet.podspec import Security
from kubelab.kubelet.sandbox import Bind, mount_order
from kubelab.objects import Object

_HIDDEN: Final = (
    "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/sched_debug",
    "/proc/scsi", "/sys/firmware",
)  # fmt: skip
_READ_ONLY: Final = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

# crun looks at the machine's control groups even if it is told to make none, and refuses some arrangements of them.
_NO_GROUPS: Final = "mount -t tmpfs none /sys/fs/cgroup"


@dataclass(frozen=True, slots=True)
class Bundle:
    """All that a container is made of.

    `folder` is where its configuration and mount point are. `pid_file` gets its program's pid, `status` the monitor's
    word of its end, `state` is the runtime's own. `lower` are the layers, the uppermost first. The user is settled.
    """

    container_id: str
    folder: Path
    pid_file: Path
    status: Path
    state: Path
    lower: tuple[Path, ...]
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    hostname: str
    network: str
    working_dir: str
    security: Security
    binds: tuple[Bind, ...]
    etc: Mapping[str, str]

    @property
    def root(self) -> Path:
        """Where the monitor mounts the layers."""
        return self.folder / "root"

    @property
    def upper(self) -> Path:
        """What the container writes."""
        return self.folder / "upper"

    @property
    def work(self) -> Path:
        """What overlay needs for itself."""
        return self.folder / "work"


def command(bundle: Bundle) -> list[str]:
    """The argument vector; `configuration` has to be in the bundle's folder as config.json."""
    enter = ["nsenter", f"--net={bundle.network}", "--"] if bundle.network else []
    lower = ":".join(map(str, bundle.lower))
    options = f"lowerdir={lower},upperdir={bundle.upper},workdir={bundle.work}"
    run = [
        *_crun(bundle.state), "run", "--no-new-keyring", f"--bundle={bundle.folder}",
        f"--pid-file={bundle.pid_file}", bundle.container_id,
    ]  # fmt: skip
    script = (
        f'{_NO_GROUPS} && mount -t overlay -o "$1" overlay "$2" || exit 1\n'
        f"{shlex.join(run)}\n"
        "code=$?\n"
        'echo "{\\"exit-code\\": $code}" >> "$3"\n'
        "exit $code\n"
    )
    places = [options, str(bundle.root), str(bundle.status)]
    return [*enter, "unshare", "--mount", "--propagation=slave", "--", "sh", "-c", script, "sh", *places]


def enter(state: Path, container_id: str, argv: Sequence[str]) -> list[str]:
    """A command run in a container, with its rights and environment (exec probes)."""
    words = [*_crun(state), "exec", container_id, *argv]
    return ["unshare", "--mount", "--propagation=slave", "--", "sh", "-c", f'{_NO_GROUPS} && exec "$@"', "sh", *words]


def configuration(bundle: Bundle) -> bytes:
    """The runtime's configuration (github.com/opencontainers/runtime-spec, config.md)."""
    security = bundle.security
    capabilities = [f"CAP_{name}" for name in sorted(security.capabilities)]
    document: Object = {
        "ociVersion": "1.0.2",
        "hostname": bundle.hostname,
        "root": {"path": str(bundle.root), "readonly": security.read_only_root},
        "process": {
            "args": list(bundle.argv),
            "env": [f"{name}={value}" for name, value in bundle.environment.items()],
            "cwd": bundle.working_dir or "/",
            "user": {"uid": security.user or 0, "gid": security.group or 0, "additionalGids": list(security.groups)},
            "noNewPrivileges": security.no_new_privileges,
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), capabilities),
        },
        "mounts": [*_system(security), *_files(bundle.etc), *_volumes(bundle.binds)],
        "linux": {
            "namespaces": [{"type": name} for name in ("pid", "ipc", "uts", "mount")],
            "maskedPaths": [] if security.privileged else list(_HIDDEN),
            "readonlyPaths": [] if security.privileged else list(_READ_ONLY),
        },
    }
    return json.dumps(document).encode()


def _crun(state: Path) -> list[str]:
    return ["crun", f"--root={state}", "--cgroup-manager=disabled"]


def _system(security: Security) -> list[Object]:
    safe = ["nosuid", "noexec", "nodev"]
    devices = (
        _mount("/dev", "bind", "/dev", ["rbind", "rw"])
        if security.privileged
        else _mount("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"])
    )
    return [
        _mount("/proc", "proc", "proc", safe),
        devices,
        _mount("/dev/shm", "tmpfs", "shm", [*safe, "mode=1777", "size=65536k"]),  # noqa: S108  # the container's own
        _mount("/sys", "sysfs", "sysfs", [*safe, "rw" if security.privileged else "ro"]),
    ]


def _files(etc: Mapping[str, str]) -> Iterable[Object]:
    """What a runtime puts into every container's /etc; users and groups are the image's own."""
    for name in ("hostname", "hosts", "resolv.conf"):
        yield _mount(f"/etc/{name}", "bind", etc[name], ["rbind", "rw"])


def _volumes(binds: Iterable[Bind]) -> Iterable[Object]:
    for bind in mount_order(binds):
        yield _mount(bind.target, "bind", bind.source, ["rbind", "rprivate", "ro" if bind.read_only else "rw"])


def _mount(destination: str, kind: str, source: str, options: list[str]) -> Object:
    return {"destination": destination, "type": kind, "source": source, "options": options}
