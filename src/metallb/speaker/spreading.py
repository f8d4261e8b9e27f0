"""The Services whose pools ask to be spread over nodes, and the plan in force of who announces them.

A plan looks at all of them at once. What one Service changes waits while the last plan's rest lasts, so that thousands
of Services that come one by one cost a share of the time only; a node that goes is never waited with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from metallb.advertisement.layer2 import Cluster, Standing, contenders
from metallb.advertisement.spread import Claim, Spread
from metallb.api.net import NodeName, ServiceKey

REST: Final = 4
"""After a plan the next one waits this many times as long as it took."""


class Spreading:
    """Who announces the Services that are spread."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """No Service is known.

        Args:
            clock: monotonic seconds.
        """
        self._clock = clock
        self._spread = Spread()
        self._standings: dict[ServiceKey, Standing] = {}
        self._owners: dict[ServiceKey, NodeName] = {}
        self._cluster: Cluster | None = None
        self._changed: set[ServiceKey] = set()
        self._rested = float("-inf")

    def put(self, service: ServiceKey, standing: Standing | None) -> None:
        """A Service is as it is now; None: it is not one to be spread."""
        if self._standings.get(service) == standing:
            return
        self._changed.add(service)
        if standing is None:
            del self._standings[service]
        else:
            self._standings[service] = standing

    def replace(self, standings: Iterable[tuple[ServiceKey, Standing]]) -> None:
        """All Services are known anew; the next plan does not wait."""
        self._standings = dict(standings)
        self._cluster, self._changed = None, set()

    def due_s(self, cluster: Cluster) -> float | None:
        """In how many seconds a plan is to be made; None: the one in force is right."""
        if self._cluster is not cluster and (self._standings or self._owners):
            return 0.0
        return max(0.0, self._rested - self._clock()) if self._changed else None

    def plan(self, cluster: Cluster) -> list[ServiceKey]:
        """Makes a plan; gives the Services that waited for it or are moved by it."""
        began = self._clock()
        claims = {
            service: Claim(standing.addresses[0], candidates)
            for service, standing in self._standings.items()
            if (candidates := contenders(standing, cluster))
        }
        owners = self._spread.plan(claims.values())
        before, self._owners = self._owners, {service: owners[claim] for service, claim in claims.items()}
        changed, self._changed, self._cluster = self._changed, set(), cluster
        ended = self._clock()
        self._rested = ended + REST * (ended - began)
        known = before.keys() | self._owners.keys()
        return sorted(changed.union(each for each in known if before.get(each) != self._owners.get(each)))

    def owner(self, service: ServiceKey) -> NodeName | None:
        """The node that announces a Service by the plan in force; None: no node can, or it is not to be spread."""
        return None if service in self._changed else self._owners.get(service)

    def waits(self, service: ServiceKey) -> bool:
        """Whether a Service has to wait for the next plan."""
        return service in self._changed
