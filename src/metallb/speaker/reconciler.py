"""Services in, announcements out: what `advertisement` decides is handed to the announcer.

The configuration is rebuilt when something changes that it is made from; a bad one leaves the last good one in force.
An API outage changes nothing: caches keep what they have.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from metallb.advertisement.layer2 import Announce, Cluster, Decision, Standing, Withhold, judge, stand
from metallb.advertisement.reasons import (
    NoAdvertisement,
    NoCandidate,
    NoInterface,
    NoServingEndpoint,
    Reason,
    SharedWithSelectors,
)
from metallb.api.core import Endpoint, EndpointSlice, Node, Service
from metallb.api.net import Address, NodeName, ServiceKey
from metallb.config.model import Config
from metallb.config.state import Evaluation, Reading, evaluate
from metallb.kube.objects import Key
from metallb.kube.reconciler import Again, Done, Outcome, Reconciler
from metallb.kube.store import Store
from metallb.speaker.announcer import Announcer
from metallb.speaker.proven import Proven
from metallb.speaker.spreading import Spreading
from metallb.telemetry import logs

CONFIG_KEY = "config"
SLICES_BY_SERVICE = "service"
"""Name of the index that finds EndpointSlices by `namespace/name` of their Service."""

PATIENCE_S = 5.0
"""A reason has to last this long before people are told by an event."""

REST = 4
"""After a look at the configuration the next one waits this many times as long as it took.

Among thousands of objects, which somebody may apply one by one, a look takes tenths of a second.
"""

_DECIDED = Key("", "")
"""No Service: stands in line behind those whose decisions somebody waits for."""

_PLAN = Key("", "plan")
"""No Service: the plan of addresses that are spread is due."""

_log = logs.logger(op="announce")


@dataclass(frozen=True, slots=True)
class Stores:
    """What decisions are made from, beside the configuration; `live` gives the nodes with a living speaker."""

    services: Store[Service]
    slices: Store[EndpointSlice]
    nodes: Store[Node]
    live: Callable[[], frozenset[NodeName]]


@dataclass(frozen=True, slots=True)
class Outlets:
    """Where the outcome goes beside the wire."""

    announced: Callable[[Service, Announce], None]
    withdrawn: Callable[[ServiceKey, Service | None, Reason], None]
    unannounced: Callable[[Service, Reason], None]
    config_loaded: Callable[[], None]
    config_judged: Callable[[Evaluation], None]
    observe: Callable[[Outcome], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """What this speaker was told at its start."""

    node: NodeName
    lb_class: str = ""
    ignore_exclude: bool = False


@dataclass(slots=True)
class Announcements:
    """The state of the speaker: configuration, and why which Service is not announced from here."""

    config: Config | None = None
    withheld: dict[ServiceKey, Reason] = field(default_factory=dict)


class ServiceSpeaker:
    """The queues of one speaker: run `services` and `config`.

    Attributes:
        configured: set once there was a configuration.
        proven: the addresses that the cluster has announced before.
    """

    def __init__(
        self,
        settings: Settings,
        stores: Stores,
        read: Callable[[], Reading],
        announcer: Announcer,
        outlets: Outlets,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.state = Announcements()
        self.configured = asyncio.Event()
        self.proven = Proven()
        self.services: Reconciler[Key] = Reconciler("service", self._service, observe=outlets.observe)
        self.config: Reconciler[str] = Reconciler("config", self._config)
        self._settings = settings
        self._stores = stores
        self._read = read
        self._announcer = announcer
        self._outlets = outlets
        self._clock = clock
        self._cluster: Cluster | None = None
        self._spreading: Spreading | None = None
        self._rested = float("-inf")
        self._untold: dict[ServiceKey, float] = {}
        self._waiting: list[Callable[[], None]] = []

    def reload(self, *_cause: object) -> None:
        """Something changed that the configuration is made from."""
        self.config.add_after(CONFIG_KEY, max(0.0, self._rested - self._clock()))

    def review_all(self, *_cause: object) -> None:
        """Something changed that every election looks at: nodes, or who has a living speaker."""
        self._cluster = None
        for key in self._stores.services.keys() | self._announcer.announced.keys():
            self.services.add(Key(*key))

    def when_decided(self, callback: Callable[[], None]) -> None:
        """Calls back once everything has been decided that is in line now."""
        self._waiting.append(callback)
        self.services.add(_DECIDED)

    async def _config(self, _key: str) -> Outcome:
        began = self._clock()
        config, evaluation = evaluate(self._read())
        ended = self._clock()
        self._rested = ended + REST * (ended - began)
        self._outlets.config_judged(evaluation)
        if config is None or config == self.state.config:
            return Done()
        before, self.state.config = self.state.config, config
        _log.info("configuration loaded", event="configLoaded", pools=[pool.name for pool in config.pools])
        self._outlets.config_loaded()
        if before is None:
            self.proven.begin(self._stores.services.values())
        if before is None or before.pools != config.pools:
            self._spreading = self._spread(config)
            self.review_all()
        self.configured.set()
        return Done()

    async def _service(self, raw: Key) -> Outcome:
        if raw == _DECIDED:
            waiting, self._waiting = self._waiting, []
            for callback in waiting:
                callback()
            return Done()
        if self.state.config is None:
            return Done()
        if raw == _PLAN:
            self._plan()
            return Done()
        key = ServiceKey(*raw)
        service = self._stores.services.get(raw)
        decision = self._decide(key, service, self.state.config)
        if decision is None:
            return Done()
        self._apply(key, service, decision)
        return self._tell(key, service)

    def _decide(self, key: ServiceKey, service: Service | None, config: Config) -> Decision | None:
        """What is to be done now; None: a plan comes first, and then everybody whom it concerns."""
        standing = self._stand(service, config)
        owner = None
        if self._spreading is not None:
            spread = standing if isinstance(standing, Standing) and standing.spreads else None
            self._spreading.put(key, spread)
            self._plan(key)
            if spread is not None and self._spreading.waits(key):
                return None
            owner = self._spreading.owner(key)
        if not isinstance(standing, Standing):
            return Withhold(standing)
        decision = judge(standing, self._around(), owner)
        if not isinstance(decision, Announce) or not decision.interfaces:
            return decision
        if decision.interfaces & self._announcer.interface_names:
            return decision
        return Withhold(NoInterface(tuple(sorted(decision.interfaces)), decision.addresses))

    def _spread(self, config: Config) -> Spreading | None:
        """All Services that are to be spread, before the first of them is decided about."""
        if not any(pool.terms.spread for pool in config.pools):
            return None
        spreading = self._spreading or Spreading(self._clock)
        known = ((each.key, self._stand(each, config)) for each in self._stores.services.values())
        spreading.replace((key, each) for key, each in known if isinstance(each, Standing) and each.spreads)
        return spreading

    def _plan(self, asking: ServiceKey | None = None) -> None:
        """Makes the plan of addresses that are spread, if one is due, and looks at the others that it moves."""
        if self._spreading is None or (due_s := self._spreading.due_s(self._around())) is None:
            return
        if due_s:
            self.services.add_after(_PLAN, due_s)
            return
        for key in self._spreading.plan(self._around()):
            if key != asking:
                self.services.add(Key(*key))

    def _stand(self, service: Service | None, config: Config) -> Standing | Reason:
        endpoints = self._endpoints(service) if service is not None else []
        return stand(service, endpoints, config, self._settings.lb_class)

    def _around(self) -> Cluster:
        if self._cluster is None:
            self._cluster = Cluster(
                me=self._settings.node,
                live=self._stores.live(),
                nodes={each.name: each for each in self._stores.nodes.values()},
                ignore_exclude=self._settings.ignore_exclude,
            )
        return self._cluster

    def _endpoints(self, service: Service) -> list[Endpoint]:
        slices = self._stores.slices.indexed(SLICES_BY_SERVICE, str(service.key))
        return [endpoint for each in slices for endpoint in each.endpoints or ()]

    def _apply(self, key: ServiceKey, service: Service | None, decision: Decision) -> None:
        wanted = decision if isinstance(decision, Announce) else None
        changed = self._announcer.announce(key, wanted, self._unproven(key, service, decision))
        if isinstance(decision, Withhold):
            self._withhold(key, service, decision.reason, changed=changed)
            return
        self.state.withheld.pop(key, None)
        self._untold.pop(key, None)
        if changed and service is not None:
            ips = [str(address) for address in decision.addresses]
            _log.info("announced from here", event="serviceAnnounced", service=str(key), ips=ips)
            self._outlets.announced(service, decision)

    def _unproven(self, key: ServiceKey, service: Service | None, decision: Decision) -> frozenset[Address]:
        """The addresses to probe for before they are announced: new ones, of pools that don't do without."""
        fresh = frozenset(each for each in self.proven.judge(key, service, decision) if not self._is_known(each))
        pool = self.state.config.pool_of(tuple(fresh)) if fresh and self.state.config is not None else None
        return fresh if pool is not None and pool.terms.probes else frozenset()

    def _is_known(self, address: Address) -> bool:
        """Whether it is announced already, or probed for, for another Service or for this one."""
        announced = self._announcer.announced
        return any(key in announced and address in announced[key].addresses for key in self.proven.holders(address))

    def _withhold(self, key: ServiceKey, service: Service | None, reason: Reason, *, changed: bool) -> None:
        fresh = self.state.withheld.get(key) != reason
        if service is None:
            self.state.withheld.pop(key, None)
            self._untold.pop(key, None)
        else:
            self.state.withheld[key] = reason
        if changed:
            _log.info("no longer announced from here", event="serviceWithdrawn", service=str(key), reason=str(reason))
            self._outlets.withdrawn(key, service, reason)
        elif fresh and service is not None and service.spec.type == "LoadBalancer":
            _log.debug("not announced from here", event="notAnnounced", service=str(key), reason=str(reason))
        if fresh and service is not None:
            self._untold[key] = self._clock() + PATIENCE_S

    def _tell(self, key: ServiceKey, service: Service | None) -> Outcome:
        """Tells people why a Service is not announced, once, if that lasts: pods that start need their time."""
        reason, due = self.state.withheld.get(key), self._untold.get(key)
        if service is None or reason is None or due is None or not self._tells(reason):
            return Done()
        if self._clock() < due:
            return Again(due - self._clock())
        del self._untold[key]
        self._outlets.unannounced(service, reason)
        return Done()

    def _tells(self, reason: Reason) -> bool:
        """Whether this node is the one to tell people: every node comes to a reason, an event is wanted once."""
        if isinstance(reason, NoAdvertisement | NoCandidate | NoServingEndpoint | SharedWithSelectors):
            return reason.witness == self._settings.node
        return isinstance(reason, NoInterface)
