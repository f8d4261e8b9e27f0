"""Where a command can run in a lab, by name, and how to get there: `client`, `node/worker-1`, `pod/default/web`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from kubelab import processes
from kubelab.cluster import Cluster
from kubelab.network.namespaces import Machine
from kubelab.processes import ProcessTable
from kubelab.state import Layout

_POD = re.compile("pod/([^/]+)/([^/]+)(?:/([^/]+))?")


class PlaceError(Exception):
    """There is no such place in this lab; the message says which there are."""


@dataclass(frozen=True, slots=True)
class Container:
    """A container that a node agent runs: its names, and its process as the host sees it."""

    node: str
    namespace: str
    pod: str
    uid: str
    name: str
    pid: int


@dataclass(frozen=True, slots=True)
class Way:
    """How to run a command at a place: what to put before it, and the environment found there (None: the caller's)."""

    prefix: tuple[str, ...]
    environment: dict[str, str] | None = None


class _ContainerFile(msgspec.Struct):
    """What a node agent writes of a container; more fields than this may be there."""

    pid: int = 0


def containers(layout: Layout, table: ProcessTable) -> Iterator[Container]:
    """The containers that run now, those of the youngest pod of a name first."""
    for file in sorted(layout.pods.glob("*/*_*_*/*.json"), key=_modified, reverse=True):
        process = table.find(_recorded_pid(file))
        if process is not None:
            namespace, pod, uid = file.parent.name.split("_", 2)
            yield Container(file.parent.parent.name, namespace, pod, uid, file.stem, process.pid)


def way_to(where: str, layout: Layout, cluster: Cluster, init_pid: int) -> Way:
    """How to get to a place.

    Raises:
        PlaceError: it is not there.
    """
    kind, _, rest = where.partition("/")
    if kind == "pod":
        return _way_to_pod(where, layout, init_pid)
    if kind == "node" and any(node.name == rest for node in cluster.nodes):
        return _way_to_machine(rest, layout, init_pid)
    if kind == "router" and any(router.name == rest for router in cluster.routers):
        return _way_to_machine(rest, layout, init_pid)
    client = rest if kind == "client" and rest else where
    if any(each.name == client for each in cluster.clients):
        return _way_to_machine(client, layout, init_pid)
    known = [
        *(each.name for each in cluster.clients),
        *(f"node/{node.name}" for node in cluster.nodes),
        *(f"router/{router.name}" for router in cluster.routers),
    ]
    raise PlaceError(
        f"{where!r} is no place in this lab; there are: {', '.join(known)}, pod/NAMESPACE/NAME[/CONTAINER]"
    )


def find_container(where: str, layout: Layout, table: ProcessTable) -> list[Container]:
    """The running containers that `pod/NAMESPACE/NAME[/CONTAINER]` means: all of the pod's if it names none.

    Raises:
        PlaceError: none runs.
    """
    match = _POD.fullmatch(where)
    if match is None:
        raise PlaceError(f"{where!r}: a pod is named pod/NAMESPACE/NAME or pod/NAMESPACE/NAME/CONTAINER")
    namespace, pod, name = match.groups()
    running = list(containers(layout, table))
    same_pod = [each for each in running if (each.namespace, each.pod) == (namespace, pod)]
    found = [each for each in same_pod if each.uid == same_pod[0].uid and name in (None, each.name)]
    if found:
        return sorted(found, key=lambda each: each.name)
    others = sorted({f"pod/{each.namespace}/{each.pod}" for each in running})
    raise PlaceError(f"{where!r} does not run in this lab; these do: {', '.join(others) or 'none'}")


def machine_files(name: str, layout: Layout, init_pid: int) -> Machine:
    """A machine's namespace files as the host reaches them: through the root of the lab's init."""
    return Machine(name, Path(f"/proc/{init_pid}/root{layout.namespaces}"))


def way_to_wire(init_pid: int) -> tuple[str, ...]:
    """What to put before a host's command that is to work on the lab's bridges."""
    return ("nsenter", f"--target={init_pid}", "--net", "--")


def _way_to_machine(name: str, layout: Layout, init_pid: int) -> Way:
    into = machine_files(name, layout, init_pid).enter()
    return Way((into[0], f"--target={init_pid}", "--pid", "--ipc", *into[1:]))


def _way_to_pod(where: str, layout: Layout, init_pid: int) -> Way:
    container = find_container(where, layout, ProcessTable.read(init_pid))[0]
    into = ("--mount", "--uts", "--ipc", "--net", "--pid", "--root")
    return Way(("nsenter", f"--target={container.pid}", *into, "--"), environment=processes.environment(container.pid))


def _recorded_pid(file: Path) -> int:
    try:
        return msgspec.json.decode(file.read_bytes(), type=_ContainerFile).pid
    except (OSError, msgspec.DecodeError):
        return 0


def _modified(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0
