"""Turns a container of a pod into a command line and the files that it needs on disk."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kubelab.kubelet import sandbox
from kubelab.kubelet.environment import Place
from kubelab.kubelet.logfile import last_text, old_path
from kubelab.kubelet.podspec import Container, FilesVolume, HostPath, Mount, Pod
from kubelab.kubelet.process import Channels
from kubelab.kubelet.records import PodFiles
from kubelab.objects import Object

_KEPT_LIVES = 2
_MESSAGE_LIMIT = 4096
_USERS = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"
_GROUPS = "root:x:0:\nnogroup:x:65534:\n"
_NSSWITCH = "passwd: files\ngroup: files\nhosts: files dns\n"
_ETC_OF_MACHINE = (
    "alternatives", "ca-certificates", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "pki", "protocols",
    "services", "ssl",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where containers of one pod find their files, and what of the machine they see."""

    pod: Pod
    place: Place
    files: PodFiles
    tree: sandbox.HostTree

    @property
    def hostname(self) -> str:
        """The pod's own name, or the node's if it shares its network."""
        return self.place.node if self.pod.host_network else self.pod.hostname

    @property
    def network(self) -> str:
        """The file of the pod's network namespace; empty: the node's own."""
        return "" if self.pod.host_network else str(self.files.namespace)

    def prepare(self, container: Container, attempt: int) -> None:
        """Make the files of a container's next life; those of lives long past go.

        Raises:
            OSError: the disk refuses.
        """
        self.files.life(container.name, 0).parent.mkdir(parents=True, exist_ok=True)
        message = self.files.message(container.name)
        message.write_bytes(b"")
        message.chmod(0o666)
        past = self.files.life(container.name, attempt - _KEPT_LIVES)
        for suffix in (".log", ".out", ".status", ".pid"):
            past.with_suffix(suffix).unlink(missing_ok=True)
        shutil.rmtree(past.with_suffix(".bundle"), ignore_errors=True)
        old_path(past.with_suffix(".log")).unlink(missing_ok=True)
        for name, text in self._etc().items():
            file = self.files.etc(name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            file.chmod(0o644)

    def command(
        self, container: Container, argv: Sequence[str], environment: Mapping[str, str], channels: Channels
    ) -> tuple[list[str], bytes]:
        """The command that runs a container (`sandbox.command`); mount points inside volumes are made on the way.

        Raises:
            OSError: a mount point cannot be made.
        """
        wanted = sandbox.Sandbox(
            container=container,
            argv=tuple(argv),
            environment=environment,
            hostname=self.hostname,
            network=self.network,
            binds=tuple(self.binds(container)),
            etc=self.etc(),
            status_fd=channels.status,
            options_fd=channels.options,
        )
        return sandbox.command(wanted, self.tree)

    def binds(self, container: Container) -> list[sandbox.Bind]:
        """Volumes and termination message of a container; mount points inside volumes are made on the way.

        Raises:
            OSError: a mount point cannot be made.
        """
        binds = [self._bind(mount) for mount in container.mounts]
        for outer, point in sandbox.mount_points(binds):
            if Path(outer.source).is_dir():
                Path(point).mkdir(parents=True, exist_ok=True)
        message = str(self.files.message(container.name))
        return [*binds, sandbox.Bind(message, container.termination_path, read_only=False)]

    def etc(self) -> dict[str, str]:
        """Where the generated files of /etc are, by name."""
        return {name: str(self.files.etc(name)) for name in self._etc()}

    def termination_message(self, container: Container, attempt: int, code: int) -> str:
        """What a container left to be said about its end."""
        try:
            data = self.files.message(container.name).read_bytes()[:_MESSAGE_LIMIT]
        except OSError:
            data = b""
        if data or not code or not container.log_is_message:
            return data.decode(errors="replace")
        return last_text(self.files.life(container.name, attempt).with_suffix(".log"))

    def _bind(self, mount: Mount) -> sandbox.Bind:
        volume = self.pod.volumes[mount.volume]
        source = volume.path if isinstance(volume, HostPath) else str(self.files.volume(mount.volume))
        return sandbox.Bind(source, mount.path, mount.read_only or isinstance(volume, FilesVolume))

    def _etc(self) -> dict[str, str]:
        return etc_files(self.hostname, self.pod.raw.get("spec") or {}, self.place)


def etc_files(hostname: str, spec: Object, place: Place) -> dict[str, str]:
    """The generated files of a container's /etc. There is no name server: names are in `hosts`."""
    hosts = ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback"]
    hosts += [f"{address}\t{hostname}" for address in place.pod_ips]
    if place.api_host:
        hosts.append(f"{place.api_host}\tkubernetes.default.svc kubernetes.default kubernetes")
    for alias in spec.get("hostAliases") or []:
        hosts.append(f"{alias.get('ip')}\t{' '.join(map(str, alias.get('hostnames') or []))}")
    return {
        "group": _GROUPS,
        "hostname": f"{hostname}\n",
        "hosts": "\n".join(hosts) + "\n",
        "nsswitch.conf": _NSSWITCH,
        "passwd": _USERS,
        "resolv.conf": "# the lab has no name server\n",
    }


def machine_tree() -> sandbox.HostTree:
    """What containers see of this machine: its programs and this Python with all it can import."""
    links, folders = {}, ["/usr", "/opt"]
    for name in ("bin", "sbin", *sorted(path.name for path in Path("/").glob("lib*"))):
        path = Path("/", name)
        if path.is_symlink():
            links[str(path)] = str(path.readlink())
        elif path.is_dir():
            folders.append(str(path))
    found = sys.path if sys.flags.safe_path else sys.path[1:]  # the first is where this process was started
    python = [sys.prefix, sys.base_prefix, *(entry for entry in found if entry not in {"", "/"})]
    folders += [str(path) for path in map(Path, python) if path.is_dir()]
    etc = [f"/etc/{name}" for name in _ETC_OF_MACHINE if Path("/etc", name).exists()]
    return sandbox.HostTree(links, tuple(outermost(folders)), tuple(etc))


def outermost(folders: Sequence[str]) -> list[str]:
    """Folders without those that lie inside others."""
    known = sorted({os.path.abspath(folder) for folder in folders if Path(folder).is_dir()})  # noqa: PTH100  # links stay as they are: programs use these paths
    return [path for path in known if not any(Path(path).is_relative_to(other) for other in known if other != path)]
