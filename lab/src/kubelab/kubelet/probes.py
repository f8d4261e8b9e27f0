"""When a probe is due and what its answers add up to.

The first attempt is `initial_delay_s` after the container's start, then one each `period_s`, measured from attempt to
attempt; thresholds count consecutive answers (kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-
probes).
"""

from __future__ import annotations

from kubelab.kubelet.podspec import Probe


class ProbeSchedule:
    """One probe of one life of a container. `outcome` is what holds until the thresholds say otherwise."""

    def __init__(self, probe: Probe, started: float, *, outcome: bool) -> None:
        self.probe = probe
        self.outcome = outcome
        self.decided = False
        self._next: float = started + probe.initial_delay_s
        self._in_flight = False
        self._last: bool | None = None
        self._run = 0

    def deadline(self) -> float | None:
        """When the next attempt is due; None while one is under way."""
        return None if self._in_flight else self._next

    def begin(self, now: float) -> bool:
        """Whether an attempt starts now; it then is under way until `answer`."""
        if self._in_flight or now < self._next:
            return False
        self._in_flight = True
        self._next = max(self._next + self.probe.period_s, now)
        return True

    def answer(self, *, ok: bool) -> bool:
        """Take the answer of the attempt under way; whether it changed or first settled the outcome."""
        self._in_flight = False
        self._run = self._run + 1 if ok == self._last else 1
        self._last = ok
        threshold = self.probe.success_threshold if ok else self.probe.failure_threshold
        if self._run < threshold or (self.decided and ok == self.outcome):
            return False
        changed = ok != self.outcome or not self.decided
        self.outcome, self.decided = ok, True
        return changed
