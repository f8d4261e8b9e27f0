"""The controller's memory: pools, who holds what, who waits; fed with objects, asked for decisions. No I/O.

Order matters at the start: every Service that shows an address is adopted before any other gets one, so that a restart
moves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from metallb.allocator.allocator import Allocator
from metallb.allocator.converge import Decision, adopt, converge, shield
from metallb.allocator.request import Request, held_addresses, request_of
from metallb.allocator.waiting import Waiting, WaitingLine
from metallb.allocator.waking import scarcity, woken
from metallb.api.core import Service
from metallb.api.net import Address, ServiceKey
from metallb.config.model import Config, Pool


@dataclass(frozen=True, slots=True)
class Outcome:
    """A decision about one Service, and which waiting Services may now get what they lack."""

    decision: Decision | None
    woken: tuple[ServiceKey, ...] = ()


class Tried(NamedTuple):
    """What was decided on for a Service at one version: it may be written by now, and answers get lost."""

    version: str
    addresses: frozenset[Address]


@dataclass(slots=True)
class Assignment:
    """All state of one controller.

    `config` is None until the first valid configuration: until then nothing is decided.
    """

    lb_class: str = ""
    config: Config | None = None
    allocator: Allocator = field(default_factory=Allocator)
    queue: WaitingLine = field(default_factory=WaitingLine)
    _tried: dict[ServiceKey, Tried] = field(default_factory=dict)

    @property
    def pools(self) -> tuple[Pool, ...]:
        """The pools in force."""
        return self.config.pools if self.config else ()

    def load(self, config: Config) -> bool:
        """Takes a configuration into force; False: it says what the one before said.

        When True every Service has to be looked at again.
        """
        if config == self.config:
            return False
        self.config = config
        self.allocator.replace_pools(config.pools)
        self.queue.offers.clear()  # all are looked at anew
        return True

    def adopt(self, services: Iterable[Service]) -> None:
        """Reserves what Services show. Where two show one address that they may not share, the older one keeps it.

        What Services of another class show is not theirs by us, but nobody else's either: they may have it from the
        time when their class was ours.
        To be called after every `load`: a pool may offer again what it did not offer for a while.
        """
        by_age = sorted(services, key=lambda each: each.seniority)
        for service in filter(self.concerns, by_age):
            up_to_date = self._tried_over(service) is None
            if up_to_date and held_addresses(service) and self.allocator.holder(service.key) is None:
                adopt(service, self.allocator)
        for service in by_age:
            if self.concerns(service) or service.spec.type == "LoadBalancer":
                shield(service, self.allocator, self._maybe_shown(service))

    def concerns(self, service: Service) -> bool:
        """Whether the Service is of the load balancer class that this controller serves."""
        return (service.spec.load_balancer_class or "") == self.lb_class

    def decide(self, key: ServiceKey, service: Service | None, now: float = 0.0) -> Outcome:
        """Brings one Service (None: it is gone) to what it asks for; the reservation is made when this returns.

        `now` is the time in seconds, on the clock by which pools remember addresses of deleted Services.
        """
        if self.config is None:
            return Outcome(None)
        self.allocator.expire(now)
        before = self.allocator.occupancy(key)
        if service is None or not self.concerns(service):
            self.allocator.unshield(key)
            if service is None:
                self.allocator.retire(key, now)
            self.allocator.release(key)
            self._tried.pop(key, None)
            decision = None
            if service is not None and service.spec.type == "LoadBalancer":
                shield(service, self.allocator)
        else:
            decision = converge(service, self.allocator, self._maybe_shown(service))
            self._note_tried(service)
        reason = scarcity(decision)
        request = request_of(service) if service is not None and reason is not None else None
        if service is not None and reason is not None and isinstance(request, Request):
            self.queue.join(service.seniority, Waiting(reason, request))
        else:
            self.queue.leave(key)
        return Outcome(decision, woken(self.allocator, self.queue, key, before))

    def unsure(self, service: Service) -> bool:
        """Whether the API may show addresses for the Service that neither its status in the cache shows nor it holds.

        That is so when a write's answer got lost and the decision is another one by now.
        """
        return bool(self._maybe_shown(service) - {*held_addresses(service)})

    def confirm(self, service: Service) -> None:
        """The API shows the Service as the cache does: whatever was tried since has not been written."""
        self._tried.pop(service.key, None)

    def _maybe_shown(self, service: Service) -> frozenset[Address]:
        """What the API may show while the cache has the Service at this version still."""
        tried = self._tried_over(service)
        return tried.addresses if tried else frozenset()

    def _tried_over(self, service: Service) -> Tried | None:
        tried = self._tried.get(service.key)
        return tried if tried and tried.version == service.metadata.resource_version else None

    def _note_tried(self, service: Service) -> None:
        held = self.allocator.holder(service.key)
        tried = self._maybe_shown(service) | frozenset(held.addresses if held else ())
        if tried == frozenset(held_addresses(service)):
            self._tried.pop(service.key, None)
        else:
            self._tried[service.key] = Tried(service.metadata.resource_version, tried)
