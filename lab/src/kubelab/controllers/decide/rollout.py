"""How many pods each replica set of a deployment gets: rolling update, recreate, proportional scaling.

Numbers only: what is written, and why, is `deployment.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kubelab.controllers.decide.quantity import share
from kubelab.objects import Object


@dataclass(frozen=True, slots=True)
class Size:
    """One replica set by its numbers.

    `order` is its age rank, oldest first; `before` the deployment's upper limit when it was last scaled (0: unknown).
    """

    name: str
    wanted: int
    available: int
    order: int
    before: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """What a deployment's strategy allows: wanted pods, surge above it, unavailable below it."""

    wanted: int
    surge: int
    unavailable: int

    @property
    def most(self) -> int:
        """The largest number of pods at any time."""
        return self.wanted + self.surge

    @property
    def least(self) -> int:
        """The smallest number of available pods at any time."""
        return self.wanted - self.unavailable


def limits(spec: Object) -> Limits:
    """The limits of a DeploymentSpec; both zero would never move, so one pod may be unavailable then."""
    wanted = replicas(spec)
    strategy = spec.get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return Limits(wanted, 0, 0)
    rolling = strategy.get("rollingUpdate") or {}
    surge = share(rolling.get("maxSurge", "25%"), wanted, up=True)
    unavailable = share(rolling.get("maxUnavailable", "25%"), wanted, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return Limits(wanted, surge, min(unavailable, wanted))


def replicas(spec: Object) -> int:
    """`replicas` of a spec; one if it is not said."""
    value = spec.get("replicas")
    return 1 if value is None else int(value)


def grown(new: Size | None, others: Iterable[Size], rule: Limits) -> int:
    """The new replica set's size in the next step of a rolling update, as far as the surge allows."""
    now = new.wanted if new else 0
    if now >= rule.wanted:
        return rule.wanted
    room = rule.most - now - sum(size.wanted for size in others)
    return now + max(0, min(room, rule.wanted - now))


def shrunk(new: Size, old: Sequence[Size], rule: Limits) -> dict[str, int]:
    """The old replica sets' sizes in the next step: first pods that are not available, then what the limit allows.

    Only those that change are in the answer.
    """
    total = new.wanted + sum(size.wanted for size in old)
    spare = total - rule.least - max(0, new.wanted - new.available)
    if spare <= 0:
        return {}
    sizes = {size.name: size.wanted for size in old}
    oldest = sorted(old, key=lambda size: size.order)
    for size in oldest:
        gone = min(spare, max(0, size.wanted - size.available))
        sizes[size.name] -= gone
        spare -= gone
    surplus = new.available + sum(size.available for size in old) - rule.least
    for size in oldest:
        gone = min(max(0, surplus), sizes[size.name])
        sizes[size.name] -= gone
        surplus -= gone
    return {size.name: sizes[size.name] for size in old if sizes[size.name] != size.wanted}


def scaled(active: Sequence[Size], rule: Limits, total_before: int) -> dict[str, int]:
    """Sizes after the deployment itself was scaled in the middle of a rollout: each gets its share.

    `total_before` stands in for a replica set whose own `before` is not known.
    """
    allowed = rule.most if rule.wanted > 0 else 0
    to_add = allowed - sum(size.wanted for size in active)
    grow = to_add > 0
    largest_first = sorted(active, key=lambda size: (-size.wanted, -size.order if grow else size.order))
    sizes: dict[str, int] = {}
    for size in largest_first:
        part = _proportion(size, rule, total_before)
        part = max(0, min(part, to_add)) if grow else min(0, max(part, to_add))
        sizes[size.name] = size.wanted + part
        to_add -= part
    for size in largest_first:  # what rounding left over
        part = max(to_add, -sizes[size.name])
        sizes[size.name] += part
        to_add -= part
    return sizes


def _proportion(size: Size, rule: Limits, total_before: int) -> int:
    if rule.wanted == 0:
        return -size.wanted
    before = size.before or total_before
    if before == 0:
        return 0
    return int(size.wanted * rule.most / before + 0.5) - size.wanted


def is_complete(status: Mapping[str, int], wanted: int, generation: int) -> bool:
    """Whether all pods are new and available, and nothing old is left."""
    counts = [status.get(name, 0) for name in ("updatedReplicas", "replicas", "availableReplicas")]
    return counts == [wanted] * 3 and status.get("observedGeneration", 0) >= generation


def is_progressing(old: Mapping[str, int], new: Mapping[str, int]) -> bool:
    """Whether the new status is nearer to the end than the old one."""

    def left(status: Mapping[str, int]) -> int:
        return status.get("replicas", 0) - status.get("updatedReplicas", 0)

    more = any(
        new.get(name, 0) > old.get(name, 0) for name in ("updatedReplicas", "readyReplicas", "availableReplicas")
    )
    return more or left(new) < left(old)
