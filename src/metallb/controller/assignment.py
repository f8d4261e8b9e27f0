"""The controller's memory: pools, who holds what, who waits; fed with objects, asked for decisions. No I/O.

Order matters at the start: every Service that shows an address is adopted before any other gets one, so that a restart
moves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from metallb.allocator.allocator import Allocator
from metallb.allocator.converge import Decision, Pending, adopt, converge
from metallb.allocator.request import held_addresses
from metallb.api import v1beta1
from metallb.api.core import Service
from metallb.api.net import Address, ServiceKey
from metallb.config.build import Snapshot, build
from metallb.config.errors import ConfigError
from metallb.config.model import Config, Pool
from metallb.config.selectors import Labels


@dataclass(frozen=True, slots=True)
class Loaded:
    """A new configuration is in force; every Service has to be looked at again."""


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The configuration says what it said before."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The configuration is wrong; the one before stays in force."""

    errors: tuple[ConfigError, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A decision about one Service, and which waiting Services may now get what they lack."""

    decision: Decision | None
    woken: tuple[ServiceKey, ...] = ()


@dataclass(slots=True)
class Assignment:
    """All state of one controller.

    `config` is None until the first valid configuration: until then nothing is decided.
    """

    lb_class: str = ""
    config: Config | None = None
    allocator: Allocator = field(default_factory=Allocator)
    waiting: dict[ServiceKey, Service] = field(default_factory=dict)

    @property
    def pools(self) -> tuple[Pool, ...]:
        """The pools in force."""
        return self.config.pools if self.config else ()

    def load(
        self, pools: Iterable[v1beta1.IPAddressPool], namespaces: Mapping[str, Labels]
    ) -> Loaded | Unchanged | Rejected:
        """Takes the pools into force if they are valid."""
        built = build(Snapshot(tuple(pools), namespaces=namespaces))
        if built.config is None:
            return Rejected(built.errors)
        if built.config == self.config:
            return Unchanged()
        self.config = built.config
        self.allocator.replace_pools(built.config.pools)
        return Loaded()

    def adopt(self, services: Iterable[Service]) -> None:
        """Reserves what Services show. Where two show one address that they may not share, the older one keeps it."""
        holders = [each for each in services if self.concerns(each) and held_addresses(each)]
        for service in sorted(holders, key=lambda each: each.seniority):
            if self.allocator.holder(service.key) is None:
                adopt(service, self.allocator)

    def concerns(self, service: Service) -> bool:
        """Whether the Service is of the load balancer class that this controller serves."""
        return (service.spec.load_balancer_class or "") == self.lb_class

    def decide(self, key: ServiceKey, service: Service | None) -> Outcome:
        """Brings one Service (None: it is gone) to what it asks for; the reservation is made when this returns."""
        if self.config is None:
            return Outcome(None)
        before = self._held(key)
        if service is None or not self.concerns(service):
            self.allocator.release(key)
            decision = None
        else:
            decision = converge(service, self.allocator)
        if isinstance(decision, Pending) and service is not None:
            self.waiting[key] = service
        else:
            self.waiting.pop(key, None)
        freed = before - self._held(key)
        return Outcome(decision, self._woken(key) if freed else ())

    def _held(self, key: ServiceKey) -> frozenset[Address]:
        held = self.allocator.holder(key)
        return frozenset(held.addresses) if held else frozenset()

    def _woken(self, cause: ServiceKey) -> tuple[ServiceKey, ...]:
        """Those who wait, the oldest first: which of them gets the last address is no accident."""
        others = (service for key, service in self.waiting.items() if key != cause)
        return tuple(each.key for each in sorted(others, key=lambda each: each.seniority))
