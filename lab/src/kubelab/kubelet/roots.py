"""Containers of images that have a root file system of their own: from an image's layers to a command line."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kubelab.kubelet import runtime
from kubelab.kubelet.containers import Workplace
from kubelab.kubelet.layers import Layers
from kubelab.kubelet.layouts import Image
from kubelab.kubelet.podspec import Container
from kubelab.kubelet.process import Build
from kubelab.kubelet.users import User, user_of


@dataclass(frozen=True, slots=True)
class Root:
    """What a container gets from its image: unpacked layers, the uppermost first, and who its program is."""

    image: Image
    lower: tuple[Path, ...]
    user: User

    def settled(self, container: Container) -> Container:
        """The container with what its image decides where the pod does not."""
        security = replace(container.security, user=self.user.user, group=self.user.group)
        return replace(container, security=security, working_dir=container.working_dir or self.image.working_dir)


@dataclass(frozen=True, slots=True)
class Roots:
    """All images with a root of their own, and where their layers and the runtime's state are."""

    images: Mapping[str, Image]
    layers: Layers
    state: Path

    async def of(self, container: Container) -> Root | None:
        """The root of a container's image, unpacked if need be; None: the image map says what to run.

        Raises:
            UnpackError: a layer can't be unpacked.
            UserError: the image's user is not in the image.
        """
        image = self.images.get(container.image)
        if image is None:
            return None
        lower = await self.layers.of(image)
        user = user_of(container.security, image, _text(lower, "etc/passwd"), _text(lower, "etc/group"))
        return Root(image, tuple(lower), user)

    def build(
        self,
        place: Workplace,
        container: Container,
        root: Root,
        argv: Sequence[str],
        environment: Mapping[str, str],
        attempt: int,
    ) -> Build:
        """Make the files of a container's next life, and what starts it. The container is settled.

        Raises:
            OSError: the disk refuses.
        """
        life = place.files.life(container.name, attempt)
        bundle = runtime.Bundle(
            container_id=self.container_id(place, container, attempt),
            folder=life.with_suffix(".bundle"),
            pid_file=life.with_suffix(".pid"),
            status=life.with_suffix(".status"),
            state=self.state,
            lower=root.lower,
            argv=tuple(argv),
            environment=environment,
            hostname=place.hostname,
            network=place.network,
            working_dir=container.working_dir,
            security=container.security,
            binds=tuple(place.binds(container)),
            etc=place.etc(),
        )
        shutil.rmtree(bundle.folder, ignore_errors=True)
        bundle.pid_file.unlink(missing_ok=True)
        for folder in (bundle.folder, bundle.root, bundle.upper, bundle.work):
            folder.mkdir(mode=0o755)
        (bundle.folder / "config.json").write_bytes(runtime.configuration(bundle))
        return lambda _channels: (runtime.command(bundle), b"")

    def enter(self, place: Workplace, container: Container, attempt: int, argv: Sequence[str]) -> list[str]:
        """A command run in a container."""
        return runtime.enter(self.state, self.container_id(place, container, attempt), argv)

    @staticmethod
    def container_id(place: Workplace, container: Container, attempt: int) -> str:
        """What the runtime knows a life of a container by."""
        return f"{place.pod.uid}-{container.name}-{attempt}"


def _text(lower: Sequence[Path], name: str) -> str:
    """A file of an image as its uppermost layer that has it; links are not followed out of the image."""
    for folder in lower:
        path = folder / name
        if path.is_file() and not path.is_symlink():
            return path.read_text(encoding="utf-8", errors="replace")
    return ""
