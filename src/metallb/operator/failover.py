"""Finds OpenShift's IP failover (keepalived), which MetalLB can't share a network with. Pure.

Both make nodes answer for addresses; the page that MetalLB is installed by has it removed first. It is a Deployment (or
an administrator's DaemonSet) in any namespace, of any name: known by its image and by the variables that configure it.
Source: OpenShift docs, "Configuring IP failover".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from metallb.api.core import Model, ObjectMeta

IMAGE: Final = "keepalived-ipfailover"
"""How the last part of the image's name ends, whatever the registry: `origin-`, `ose-keepalived-ipfailover`."""

VARIABLE: Final = "OPENSHIFT_HA_"
"""How the names of its variables begin."""


class _Variable(Struct, frozen=True):
    name: str = ""


class _Container(Struct, frozen=True):
    image: str = ""
    env: tuple[_Variable, ...] = ()


class _Pod(Struct, frozen=True):
    containers: tuple[_Container, ...] = ()


class _Template(Struct, frozen=True):
    spec: _Pod = _Pod()


class _Spec(Struct, frozen=True):
    template: _Template = _Template()


class Suspect(Model, frozen=True):
    """A Deployment or DaemonSet of anybody, as far as it tells what it runs."""

    metadata: ObjectMeta = ObjectMeta()
    spec: _Spec = _Spec()

    @property
    def is_failover(self) -> bool:
        """Whether it is an IP failover."""
        return self.metadata.deletion_timestamp is None and any(map(_is_failover, self.spec.template.spec.containers))


def _is_failover(container: _Container) -> bool:
    name = container.image.rpartition("/")[2].partition("@")[0].partition(":")[0]
    return name.endswith(IMAGE) or any(each.name.startswith(VARIABLE) for each in container.env)


def found(kind: str, suspects: Iterable[Suspect]) -> tuple[str, ...]:
    """What has to be removed, as arguments of `kubectl delete`: `deployment ipfailover -n default`."""
    names = sorted((each.metadata.namespace, each.metadata.name) for each in suspects if each.is_failover)
    return tuple(f"{kind.lower()} {name} -n {namespace}" for namespace, name in names)


def message(present: Iterable[str], *, installed: bool) -> str:
    """What to do about it."""
    commands = "; ".join(f"kubectl delete {each}" for each in present)
    then = "what runs goes on" if installed else "MetalLB is installed as soon as it is gone"
    return (
        f"IP failover is configured in this cluster, and MetalLB can't work beside it: remove it ({commands}); {then}"
    )
