"""What is shown of announcements, by events, metrics and ServiceL2Status: what is announced in truth, and who keeps it.

    showing = Showing(node, announcer, strangers, outlets)
    showing.decided(service, announcement)     # from now on it is to be announced so
    showing.look(address)                      # it was probed for: perhaps it is, perhaps not
    showing.of(service_key)                    # for its ServiceL2Status

An address that another host has is not announced, and one that is still asked for is not yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from metallb.advertisement.conflicts import is_said
from metallb.advertisement.layer2 import Announce
from metallb.advertisement.reasons import Reason
from metallb.api.core import Service
from metallb.api.net import Address, InterfaceName, NodeName, ServiceKey
from metallb.api.v1beta1_states import AddressConflict
from metallb.speaker.announcer import Announcer
from metallb.speaker.strangers import Case, Strangers

Labels: TypeAlias = tuple[str, str, str, str]
"""Of the metric: Service, protocol, node, address."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What there is to say of a Service that is to be announced from here.

    Attributes:
        announced: how it is; None: not at all.
        conflicts: the hosts outside the cluster that use its addresses.
        flagged: whether its condition has to do with it: there are such hosts, or the Service says so.
    """

    announced: Announce | None
    conflicts: tuple[AddressConflict, ...] = ()
    flagged: bool = False


@dataclass(frozen=True, slots=True)
class Outlets:
    """Where it is shown.

    Attributes:
        service: one by its key; None: there is none.
        services: those that have an address and are to be announced from here.
        event: called with Service, type, reason and message.
        sample: called with labels of an address that is announced (true), or is no more.
        review: called with each Service of which `of` may give something else.
    """

    service: Callable[[ServiceKey], Service | None]
    services: Callable[[Address], Iterable[Service]]
    event: Callable[[Service, Literal["Normal", "Warning"], str, str], None]
    sample: Callable[[Labels, bool], None]
    review: Callable[[ServiceKey], None]


class Showing:
    """What is shown by one speaker."""

    def __init__(self, node: NodeName, announcer: Announcer, strangers: Strangers, outlets: Outlets) -> None:
        """Nothing yet; `node` is ours."""
        self._node = node
        self._announcer = announcer
        self._strangers = strangers
        self._outlets = outlets
        self._decided: dict[ServiceKey, tuple[Address, ...]] = {}
        self._shown: dict[ServiceKey, tuple[Address, ...]] = {}

    def of(self, key: ServiceKey) -> Shown | None:
        """What there is to say of a Service; None: nothing, or nothing yet."""
        decided, real = self._announcer.announced.get(key), self._announcer.real(key)
        if decided is None:
            return None
        cases = [case for address in decided.addresses for case in self._strangers.of(address)]
        if real is None and not cases:
            return None
        announced = None if real is None else self._without(real, cases)
        service = self._outlets.service(key)
        return Shown(
            announced, tuple(case.told for case in cases), bool(cases) or (service is not None and is_said(service))
        )

    def decided(self, service: Service, announcement: Announce) -> None:
        """It is to be announced from here, or otherwise than before."""
        before = self._decided.get(service.key, ())
        self._decided[service.key] = announcement.addresses
        self._limit({*before, *announcement.addresses})
        self._show(service)

    def ended(self, key: ServiceKey, service: Service | None, reason: Reason) -> None:
        """It is not to be announced from here any more; the Service may be gone."""
        shown = self._shown.pop(key, ())
        self._samples(key, shown, there=False)
        self._limit(self._decided.pop(key, ()))
        self._outlets.review(key)
        if shown and service is not None:
            message = f'no longer announced from node "{self._node}" with protocol "layer2": {reason}'
            self._outlets.event(service, "Normal", "nodeWithdrawn", message)

    def look(self, address: Address) -> None:
        """It was found out whether somebody has an address, somewhere."""
        for service in self._outlets.services(address):
            self._show(service)

    def relook(self) -> None:
        """There are other interfaces: what was found out on some counts no more."""
        self._limit(self._strangers.addresses)
        for address in self._announcer.unproven:
            self.look(address)

    def _show(self, service: Service) -> None:
        key, real = service.key, self._announcer.real(service.key)
        before, now = self._shown.get(key, ()), real.addresses if real is not None else ()
        if now:
            self._shown[key] = now
        else:
            self._shown.pop(key, None)
        self._samples(key, set(before).difference(now), there=False)
        self._samples(key, set(now).difference(before), there=True)
        if now and set(before).isdisjoint(now):
            message = f'announcing from node "{self._node}" with protocol "layer2"'
            self._outlets.event(service, "Normal", "nodeAssigned", message)
        self._outlets.review(key)

    def _samples(self, key: ServiceKey, addresses: Iterable[Address], *, there: bool) -> None:
        for address in addresses:
            self._outlets.sample((str(key), "layer2", self._node, str(address)), there)

    def _limit(self, addresses: Iterable[Address]) -> None:
        """Whoever uses them where we don't announce them any more, nor would, is nobody's business."""
        for address in addresses:
            if address in self._strangers:
                self._strangers.limit(address, self._places(address).__contains__)

    def _places(self, address: Address) -> frozenset[InterfaceName]:
        """The interfaces on which an address is to be announced."""
        announced = (self._announcer.announced[each.key] for each in self._outlets.services(address))
        wanted = [each.interfaces for each in announced if address in each.addresses]
        present = self._announcer.interface_names
        return present & frozenset().union(*wanted) if all(wanted) else present

    def _without(self, real: Announce, cases: Iterable[Case]) -> Announce:
        """Without the interfaces on which others have all that is announced elsewhere."""
        held = {(case.interface, case.address) for case in cases if not case.announced}
        if not held:
            return real
        names = real.interfaces or self._announcer.interface_names
        left = frozenset(name for name in names if any((name, each) not in held for each in real.addresses))
        return real if left == names else Announce(real.addresses, left)
