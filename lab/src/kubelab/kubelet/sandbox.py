"""The command line that runs a container: namespaces, file system, rights, program. Pure.

The chain is `nsenter` (the pod's network) -> `unshare` with a fresh /sys of that network -> `bwrap` -> `setpriv` -> the
program, each replacing itself by the next, except that bwrap stays twice: outside as the container's monitor, which
writes how the program ended, and as process 1 of the container's own process namespace, which reaps orphans and whose
death the kernel lets nothing in the container survive. The program is not process 1, so signals that it does not handle
have their usual effect (as with `docker run --init`).

setpriv sets what bwrap leaves open: the bounding set, user and groups. It starts with SETPCAP, SETUID and SETGID beside
the container's own capabilities and ends with exactly those; a program that is not root has none, as in any container.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from kubelab.kubelet.podspec import Container, Security

_SETPRIV_NEEDS = frozenset({"SETPCAP", "SETUID", "SETGID"})


@dataclass(frozen=True, slots=True)
class HostTree:
    """What of the machine's file system every container sees, read-only.

    `links` are symbolic links at the root (`/bin` -> `usr/bin`), `directories` folders at the same path as outside,
    `etc` files and folders of /etc that are harmless and needed (certificates, alternatives, the linker's cache).
    """

    links: Mapping[str, str] = field(default_factory=dict)
    directories: tuple[str, ...] = ()
    etc: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bind:
    """A folder or file outside and where the container sees it."""

    source: str
    target: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class Sandbox:
    """All that the command line is made of.

    `network` is the file of the pod's network namespace, empty for the node's own. `etc` are generated files by their
    name below /etc. `status_fd` is where the monitor writes its JSON lines, `options_fd` where
    bwrap reads its options.
    """

    container: Container
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    hostname: str
    network: str
    binds: tuple[Bind, ...]
    etc: Mapping[str, str]
    status_fd: int
    options_fd: int


def command(sandbox: Sandbox, tree: HostTree) -> tuple[list[str], bytes]:
    """The argument vector, and what bwrap reads from `options_fd`.

    The options hold what Secrets put into the environment, and command lines are for everybody to see.
    """
    security = sandbox.container.security
    enter = ["nsenter", f"--net={sandbox.network}", "--"] if sandbox.network else []
    fresh_sys = ["unshare", "--mount", "--propagation=slave", "--", "sh", "-c"]
    # Not over /sys: where that is this network namespace's already, the kernel refuses a second one on top.
    mount = 'mount -t sysfs -o nosuid,nodev,noexec sysfs /mnt && exec "$@"'
    options = [
        *_namespaces(sandbox), *_root(tree), *_system(security), *_etc(sandbox, tree),
        *_binds(sandbox.binds), *_end(sandbox),
    ]  # fmt: skip
    argv = [
        *enter, *fresh_sys, mount, "sh", "bwrap", "--args", str(sandbox.options_fd),
        "--", *privileges(security), *sandbox.argv,
    ]  # fmt: skip
    return argv, b"".join(option.encode() + b"\0" for option in options)


def privileges(security: Security) -> list[str]:
    """The setpriv command that leaves a program with its user, groups and capabilities and nothing else."""
    bounding = "".join(f",+{name.lower()}" for name in sorted(security.capabilities))
    user = [] if security.user is None and security.group is None and not security.groups else _user(security)
    return ["setpriv", *user, "--inh-caps=-all", "--ambient-caps=-all", f"--bounding-set=-all{bounding}", "--"]


def enter(pid: int, security: Security, argv: Sequence[str]) -> list[str]:
    """A command run beside a container's program, in its namespaces and with its rights (exec probes)."""
    into = ["nsenter", f"--target={pid}", "--mount", "--net", "--pid", "--uts", "--root", "--wd", "--"]
    return [*into, *privileges(security), *argv]


def mount_order(binds: Iterable[Bind]) -> list[Bind]:
    """Outer mounts before those inside them, as container runtimes order them."""
    return sorted(binds, key=lambda bind: (len(PurePosixPath(bind.target).parts), bind.target))


def mount_points(binds: Sequence[Bind]) -> Iterator[tuple[Bind, str]]:
    """Mounts that lie within another mount: the outer one, and the path that must exist in its source.

    bwrap makes mount points in the container's root; within a read-only mount it cannot.
    """
    ordered = mount_order(binds)
    for index, bind in enumerate(ordered):
        path = PurePosixPath(bind.target)
        outer = [
            other for other in ordered[:index] if path.is_relative_to(other.target) and other.target != bind.target
        ]
        if outer:
            nearest = outer[-1]
            yield nearest, str(PurePosixPath(nearest.source) / path.relative_to(nearest.target))


def _namespaces(sandbox: Sandbox) -> list[str]:
    wanted = sandbox.container.security.capabilities | _SETPRIV_NEEDS
    return [
        "--unshare-pid", "--unshare-uts", "--unshare-ipc", "--hostname", sandbox.hostname, "--new-session",
        "--json-status-fd", str(sandbox.status_fd),
        "--cap-drop", "ALL", *(word for name in sorted(wanted) for word in ("--cap-add", f"CAP_{name}")),
        "--clearenv",
        *(word for name, value in sandbox.environment.items() for word in ("--setenv", name, value)),
    ]  # fmt: skip


def _root(tree: HostTree) -> list[str]:
    """A tmpfs with the machine's programs in it; nothing else of the machine's files is visible."""
    links = [word for path, target in sorted(tree.links.items()) for word in ("--symlink", target, path)]
    folders = [word for path in tree.directories for word in (*_parents(path), "--ro-bind", path, path)]
    return [*links, *folders]


def _parents(path: str) -> list[str]:
    """Makes the folders above a mount point: those that bwrap makes by itself are closed to all but root."""
    above = [str(folder) for folder in reversed(PurePosixPath(path).parents)][1:]
    return [word for folder in above for word in ("--dir", folder)]


def _system(security: Security) -> list[str]:
    devices = ["--dev-bind", "/dev", "/dev"] if security.privileged else ["--dev", "/dev"]
    kernel = [] if security.privileged else ["--ro-bind", "/proc/sys", "/proc/sys"]
    system = "--bind" if security.privileged else "--ro-bind"
    folders = [word for path in ("/root", "/var/log", "/run", "/tmp", "/var/tmp") for word in ("--dir", path)]  # noqa: S108  # the container's own
    open_to_all = [word for path in ("/tmp", "/var/tmp") for word in ("--chmod", "1777", path)]  # noqa: S108  # the same
    # Relative, so that it leads to the same place while the root is still being made.
    run = ["--symlink", "../run", "/var/run"]
    return [*devices, "--proc", "/proc", *kernel, system, "/mnt", "/sys", *folders, *open_to_all, *run]


def _etc(sandbox: Sandbox, tree: HostTree) -> list[str]:
    machine = [word for path in tree.etc for word in ("--ro-bind", path, path)]
    own = [word for name, file in sorted(sandbox.etc.items()) for word in ("--bind", file, f"/etc/{name}")]
    return ["--dir", "/etc", *machine, *own]


def _binds(binds: Iterable[Bind]) -> list[str]:
    words: list[str] = []
    done: list[str] = []
    for bind in mount_order(binds):
        if not any(PurePosixPath(bind.target).is_relative_to(outer) for outer in done):
            words += _parents(bind.target)
        words += ["--ro-bind" if bind.read_only else "--bind", bind.source, bind.target]
        done.append(bind.target)
    return words


def _end(sandbox: Sandbox) -> list[str]:
    container = sandbox.container
    where = container.working_dir or "/"
    folder = ["--dir", where] if container.working_dir else []
    read_only = ["--remount-ro", "/"] if container.security.read_only_root else []
    return [*folder, *read_only, "--chdir", where]


def _user(security: Security) -> list[str]:
    user = 0 if security.user is None else security.user
    group = 0 if security.group is None else security.group
    groups = ",".join(str(number) for number in security.groups)
    return [f"--reuid={user}", f"--regid={group}", f"--groups={groups}" if groups else "--clear-groups"]
