"""Faults of a lab's pods that their node agents know of: killed for want of memory, a clock that is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kubelab import faults
from kubelab.faults import Fault, FaultError, Scene
from kubelab.kubelet.records import PodFiles
from kubelab.places import Container, find_container
from kubelab.processes import Process, ProcessTable

_LIBRARIES: Final = ("*/faketime/libfaketime.so.1", "faketime/libfaketime.so.1")


def out_of_memory(scene: Scene, target: str) -> list[Process]:
    """Kill a pod's containers, or one, as the kernel does when their memory is used up; answers what was killed.

    The containers end with `OOMKilled` and code 137, and are started again as their pod wants it.

    Raises:
        PlaceError: no such container runs.
        FaultError: the node agent can't be told.
    """
    table = ProcessTable.read(scene.init_pid)
    for container in find_container(target, scene.layout, table):
        # As the node agent knows it.
        (process,) = table.where(lambda each: each.pid == container.pid)  # noqa: B023  # used at once
        _note(_files(scene, container).out_of_memory(container.name), str(process.lab_pid))
    return faults.kill(scene, target)


def skew_clock(scene: Scene, target: str, offset_s: float) -> list[Process]:
    """Have a pod's containers see a wall clock that is wrong by so many seconds: they are killed and start with it.

    0 sets the clock right again. The monotonic clock stays as it is.

    Raises:
        PlaceError: no such pod runs.
        FaultError: the system has no libfaketime; one container only can't be skewed.
    """
    container = find_container(target, scene.layout, ProcessTable.read(scene.init_pid))[0]
    if target.count("/") != 2:  # noqa: PLR2004  # pod/NAMESPACE/NAME
        raise FaultError(f"{target!r}: a pod's containers share its clock; name the pod: pod/NAMESPACE/NAME")
    file = _files(scene, container).clock
    if offset_s:
        _note(file, f"{library()}\n{offset_s:+g}")
    else:
        file.unlink(missing_ok=True)
    return faults.kill(scene, target)


def in_force(scene: Scene) -> Iterator[Fault]:
    """The clocks that are wrong."""
    for file in sorted(scene.layout.pods.glob("*/*_*_*/clock")):
        namespace, pod, _ = file.parent.name.split("_", 2)
        _, _, offset = file.read_text(encoding="ascii").partition("\n")
        yield Fault("clock", f"pod/{namespace}/{pod}", f"{offset} s")


def library() -> str:
    """The library that makes clocks wrong.

    Raises:
        FaultError: it is not installed.
    """
    found = next((path for pattern in _LIBRARIES for path in Path("/usr/lib").glob(pattern)), None)
    if found is None:
        raise FaultError("libfaketime is not on this machine: apt-get install libfaketime")
    return str(found)


def _files(scene: Scene, container: Container) -> PodFiles:
    return PodFiles.of(scene.layout.pods / container.node, container.namespace, container.pod, container.uid)


def _note(file: Path, text: str) -> None:
    """Leave word for the node agent, whole or not at all.

    Raises:
        FaultError: that can't be done.
    """
    temporary = file.with_name(file.name + ".new")
    try:
        temporary.write_text(text, encoding="ascii")
        temporary.rename(file)
    except OSError as error:
        raise FaultError(f"{file}: {error.strerror}") from error
