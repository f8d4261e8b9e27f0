"""A cluster of pools and Services in memory, which a controller's decisions change at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import msgspec
import pytest

from metallb.allocator.converge import Decision
from metallb.api import v1beta1
from metallb.api.core import Condition, LoadBalancerIngress, LoadBalancerStatus, Service
from metallb.api.net import ServiceKey
from metallb.config.build import Snapshot, build
from metallb.config.errors import ConfigError
from metallb.config.model import Config
from metallb.controller.assignment import Assignment
from metallb.controller.status import POOL_ANNOTATION, StatusChange, change_for

NAMESPACES = {name: {"kubernetes.io/metadata.name": name} for name in ("default", "team-a", "team-b")}


def changed(service: Service, change: StatusChange) -> Service:
    """The Service after the API server took a status patch; it puts `ipMode: VIP` in."""
    status = service.status
    if "conditions" in change.status:
        conditions = msgspec.convert(change.status["conditions"] or [], tuple[Condition, ...])
        status = msgspec.structs.replace(status, conditions=conditions)
    if "loadBalancer" in change.status:
        entries = change.status["loadBalancer"]["ingress"] or []
        ingress = tuple(LoadBalancerIngress(ip=each["ip"], ip_mode=each.get("ipMode", "VIP")) for each in entries)
        status = msgspec.structs.replace(status, load_balancer=LoadBalancerStatus(ingress))
    annotations: dict[str, str | None] = {**service.metadata.annotations, **change.annotations}
    metadata = msgspec.structs.replace(
        service.metadata, annotations={key: value for key, value in annotations.items() if value is not None}
    )
    return msgspec.structs.replace(service, metadata=metadata, status=status)


def shown(service: Service) -> tuple[str, ...]:
    """The addresses in its status."""
    return tuple(each.ip for each in service.status.load_balancer.ingress)


@dataclass
class Life:
    """Pools and Services, and the controller that leads; `decisions` are the latest ones, `writes` counts status patches."""

    pools: dict[str, v1beta1.IPAddressPool] = field(default_factory=dict)
    services: dict[ServiceKey, Service] = field(default_factory=dict)
    namespaces: dict[str, Mapping[str, str]] = field(default_factory=lambda: dict(NAMESPACES))
    assignment: Assignment = field(default_factory=Assignment)
    decisions: dict[ServiceKey, Decision | None] = field(default_factory=dict)
    order: list[ServiceKey] = field(default_factory=list)
    writes: int = 0
    errors: tuple[ConfigError, ...] = ()

    def restart(self, lb_class: str = "") -> None:
        """Another controller takes over: it knows what the objects show, nothing else."""
        self.assignment = Assignment(lb_class=lb_class)
        self.reload()

    def reload(self) -> bool:
        """Pools or namespaces changed: what the shell does then; whether another configuration is in force."""
        built = build(Snapshot(list(self.pools.values()), namespaces=self.namespaces))
        self.errors = built.errors
        if built.config is None or not self.assignment.load(built.config):
            return False
        self.assignment.adopt(self.services.values())
        self.settle(each.key for each in sorted(self.services.values(), key=lambda each: each.seniority))
        return True

    def put(self, *services: Service) -> None:
        """Services are made or changed; their status is the API server's business."""
        for service in services:
            known = self.services.get(service.key)
            if known is not None:
                held = known.metadata.annotations.get(POOL_ANNOTATION)
                annotations = {**service.metadata.annotations} | ({POOL_ANNOTATION: held} if held else {})
                metadata = msgspec.structs.replace(service.metadata, annotations=annotations)
                service = msgspec.structs.replace(service, metadata=metadata, status=known.status)  # noqa: PLW2901  # merged
            self.services[service.key] = service
        self.settle(service.key for service in services)

    def delete(self, key: ServiceKey) -> None:
        del self.services[key]
        self.settle([key])

    def settle(self, keys: Iterable[ServiceKey]) -> None:
        """Works until nothing is in line; a write puts the Service in line again."""
        line = deque(dict.fromkeys(keys))
        for _ in range(100_000):
            if not line:
                return
            key = line.popleft()
            self.order.append(key)
            service = self.services.get(key)
            outcome = self.assignment.decide(key, service)
            self.decisions[key] = outcome.decision
            if service is not None and outcome.decision is not None:
                change = change_for(service, outcome.decision)
                if change is not None:
                    self.writes += 1
                    self.services[key] = changed(service, change)
                    line.append(key)
            line.extend(each for each in outcome.woken if each not in line)
        raise AssertionError("it never comes to rest")

    def holds(self) -> dict[str, tuple[tuple[str, ...], str]]:
        """What the objects show: addresses and pool of each Service of type LoadBalancer."""
        return {
            str(key): (shown(service), service.metadata.annotations.get(POOL_ANNOTATION, ""))
            for key, service in sorted(self.services.items())
            if service.spec.type == "LoadBalancer"
        }

    def of(self, name: str) -> tuple[str, ...]:
        """The addresses that a Service of the default namespace shows."""
        return shown(self.services[ServiceKey("default", name)])


@pytest.fixture
def life() -> Life:
    return Life()


@pytest.fixture(scope="session")
def new_life() -> type[Life]:
    """For properties, which want one for each example."""
    return Life


@pytest.fixture(scope="session")
def apply_change() -> Callable[[Service, StatusChange], Service]:
    """What the API server makes of a status patch."""
    return changed


@pytest.fixture
def config_of() -> Callable[..., Config]:
    """The configuration of valid pools."""

    def build_config(*pools: v1beta1.IPAddressPool) -> Config:
        built = build(Snapshot(pools))
        assert built.config is not None, built.errors
        return built.config

    return build_config
