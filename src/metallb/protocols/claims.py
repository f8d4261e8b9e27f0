"""The addresses of an interface that are answered for, or asked for first: what ARP and NDP have in common here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import InitVar, dataclass, field

from metallb.protocols.announcing import Bursts, Effect, Proven, TableChanged
from metallb.protocols.ethernet import Mac
from metallb.protocols.probing import Probing


@dataclass(slots=True)
class Claims:
    """Announces what is answered for, probes for what is unproven, and announces that once nobody has it.

    Attributes:
        rounds: makes the frames of one round of announcing an address.
        probe: makes the frame that asks for one.
        table: the addresses that are answered for.
    """

    rounds: InitVar[Callable[[int], Iterable[bytes]]]
    probe: InitVar[Callable[[int], bytes]]
    table: frozenset[int] = frozenset()
    _bursts: Bursts = field(init=False)
    _probing: Probing = field(init=False)

    def __post_init__(self, rounds: Callable[[int], Iterable[bytes]], probe: Callable[[int], bytes]) -> None:
        """Nothing is announced yet."""
        self._bursts = Bursts(rounds, probe)
        self._probing = Probing(probe)

    @property
    def addresses(self) -> frozenset[int]:
        """Those that are answered for, and those that are asked for."""
        return self.table.union(self._probing.addresses)

    def follow(self, change: TableChanged, now: float) -> list[Effect]:
        """The table is another one now. What is answered for already stays so, even if it is unproven."""
        before, unproven = self.table, (change.unproven & change.addresses) - self.table
        self.table = change.addresses - unproven
        self._probing.follow(unproven, now)
        burst = self._bursts.follow(before, TableChanged(self.table, change.renewed), now)
        return [*burst, *self._prove(now)]

    def again(self, now: float) -> list[Effect]:
        """The interface has another Ethernet address: all is announced, or asked for, anew."""
        self._probing.restart(now)
        return [*self._bursts.start(sorted(self.table), now), *self._prove(now)]

    def asks_for(self, address: int) -> bool:
        """Whether another host's claim to the address keeps it from being announced: `heard` takes it."""
        return address in self._probing

    def heard(self, address: int, mac: Mac, now: float) -> list[Effect]:
        """Another host says that it has an address that is asked for."""
        return self._probing.heard(address, mac, now)

    def tick(self, now: float) -> list[Effect]:
        """Sends the probes and the rounds of announcements that fell due."""
        return [*self._prove(now), *self._bursts.tick(now)]

    def deadline(self) -> float | None:
        """When the next round or probe is due."""
        times = (self._bursts.deadline(), self._probing.deadline())
        return min((each for each in times if each is not None), default=None)

    def _prove(self, now: float) -> list[Effect]:
        """Probes; what nobody has is announced at once."""
        effects = self._probing.tick(now)
        proven = [each.address for each in effects if isinstance(each, Proven)]
        if not proven:
            return effects
        self.table = self.table.union(proven)
        return [*effects, *self._bursts.start(proven, now)]
