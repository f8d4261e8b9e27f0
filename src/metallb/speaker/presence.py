"""Who has a living speaker, by gossip or by the API; and whether this one may speak: good-byes and standstills.

A speaker that stood still, was cut off or has just started does not know what happened meanwhile: others may have
taken its addresses over. It forgets what its sockets hold and is silent until it has heard the others and decided anew.
Without gossip it hears of them from the API server.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Final

from metallb.advertisement.interfaces import Interface
from metallb.api.net import NodeName
from metallb.kube.credentials import CredentialsError
from metallb.kube.daemon import StartError
from metallb.kube.errors import ApiError
from metallb.kube.objects import Key
from metallb.speaker.announcer import Announcer
from metallb.speaker.caches import Caches, came_or_left, fell_silent
from metallb.speaker.gossip import LEAVE_S, Outlets
from metallb.speaker.members import gossip_of
from metallb.speaker.reconciler import ServiceSpeaker
from metallb.speaker.settings import SpeakerSettings
from metallb.speaker.standstill import Standstill
from metallb.telemetry import logs
from metallb.telemetry import metrics as m

SETTLE_S: Final = 0.25
"""Without gossip: how long after a speaker fell silent its addresses are taken over."""

HANDOVER_S: Final = 1.0
"""How long a speaker that is told to stop goes on answering, at most: for each address, until another announces it."""

MISSED_S: Final = 1.5
"""Without gossip: nobody takes over from a speaker that stands still for less than this."""

API_PATIENCE_S: Final = 3.0
"""Without gossip: how long the API server is waited for. Where it is away, the others have not heard either."""

_log = logs.logger(op="presence")


class Presence:
    """Knows who lives, and hushes the announcer while this speaker does not know it.

    Attributes:
        settled: set once it was decided, with all others that live, what is announced from here.
    """

    def __init__(self, settings: SpeakerSettings, caches: Caches, announcer: Announcer) -> None:
        """Takes no part yet.

        Raises:
            StartError: what the flags say of gossip can't be used.
        """
        self.settled = asyncio.Event()
        self._address = settings.ml_bind_address
        self._caches = caches
        self._announcer = announcer
        self._speaker: ServiceSpeaker | None = None
        self._carriers: dict[int, bool] = {}
        self._standstill = Standstill(self._stood_still)
        outlets = Outlets(
            changed=self._changed,
            doubted=announcer.announce_again,
            reunited=self._reunited,
            cut_off=self._rejoin,
            lend=announcer.lend,
            vouch=announcer.vouch,
            look=self._standstill.look,
        )
        self._gossip = gossip_of(settings, outlets)
        announcer.look = self._standstill.look
        self._asking: asyncio.Task[None] | None = None

    async def lead(self, speaker: ServiceSpeaker, group: asyncio.TaskGroup) -> None:
        """Takes part from now on, and tells the speaker when it has to decide anew.

        Only then others leave it its share, so it is to be ready to announce: caches complete, configuration loaded.

        Raises:
            StartError: gossip can't listen.
        """
        self._speaker = speaker
        group.create_task(self._standstill.run(), name="standstill")
        if self._gossip is None:
            self._caches.pods.subscribe(speaker.review_all, when=came_or_left)
            self._caches.pods.subscribe(lambda _key: self._review_soon(speaker), when=fell_silent)
            speaker.when_decided(self.settled.set)
            return
        self._announcer.hush()
        try:
            await self._gossip.start()
        except OSError as error:
            raise StartError(f"gossip can't listen on {self._address}: {error.strerror}") from error
        self._caches.pods.subscribe(self._expect)
        self._rejoin()

    def live(self) -> frozenset[NodeName]:
        """The nodes with a living speaker: as gossip says, else as the API does."""
        return self._caches.live() if self._gossip is None else frozenset(map(NodeName, self._gossip.live))

    def show(self, metrics: m.Metrics) -> None:
        """Brings the samples of gossip up to date; without gossip there are none."""
        if self._gossip is None:
            return
        for state, count in self._gossip.states.items():
            metrics.set(m.MEMBERS, count, state)
        for reason, count in self._gossip.dropped.items():
            metrics.set(m.MEMBERS_DROPPED, count, reason)

    def see(self, interfaces: Iterable[Interface]) -> None:
        """The interfaces are these now. Where a carrier is back, a cable was: beyond it others may have taken over."""
        before, self._carriers = self._carriers, {each.index: each.running for each in interfaces}
        if any(running and not before.get(index, True) for index, running in self._carriers.items()):
            self._rejoin()

    async def hand_over(self) -> None:
        """Says good-bye, and still answers while the others take over."""
        self._announcer.hand_over()
        if self._gossip is None:
            await asyncio.sleep(HANDOVER_S)  # they learn it from the API, which has marked our Pod as going
            return
        told = asyncio.create_task(self._gossip.leave())
        await asyncio.sleep(HANDOVER_S)
        self._announcer.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(told, LEAVE_S)

    def close(self) -> None:
        """Takes no part any more."""
        if self._asking is not None:
            self._asking.cancel()
        if self._gossip is not None:
            self._gossip.close()

    def _changed(self) -> None:
        if self._speaker is not None:
            self._speaker.review_all()

    def _expect(self, _key: Key) -> None:
        if self._gossip is not None:
            self._gossip.expect(self._caches.speakers())

    def _review_soon(self, speaker: ServiceSpeaker) -> None:
        """Elects anew once the proxies have had time to forget the silent node's pods, too.

        Whoever announced at once would hand clients to backends that died with the node.
        """
        asyncio.get_running_loop().call_later(SETTLE_S, speaker.review_all)

    def _stood_still(self, gap_s: float) -> None:
        if self._gossip is None and gap_s < MISSED_S:
            return
        _log.warn("stood still: silent until the others are heard", event="standstill", seconds=round(gap_s, 3))
        if self._gossip is None:
            self._ask()
            return
        self._announcer.hush()
        self._gossip.stood_still()

    def _rejoin(self) -> None:
        if self._gossip is None:
            self._ask()
            return
        self._announcer.hush()
        self._gossip.rejoin()

    def _ask(self) -> None:
        """Without gossip: silent until the caches show who lives now."""
        if self._speaker is None:
            return
        self._announcer.hush()
        if self._asking is not None:
            self._asking.cancel()
        self._asking = asyncio.create_task(self._hear(), name="who lives")

    async def _hear(self) -> None:
        try:
            async with asyncio.timeout(API_PATIENCE_S):
                await self._caches.pods.catch_up()
        except (TimeoutError, ApiError, CredentialsError) as error:
            _log.warn("the API server does not tell who lives: going on with what is known", error=str(error))
        self._reunited()

    def _reunited(self) -> None:
        """The others were heard: what was decided before may be wrong now."""
        if self._speaker is not None:
            self._speaker.review_all()
            self._speaker.when_decided(self._resume)

    def _resume(self) -> None:
        self._announcer.resume()
        self.settled.set()
