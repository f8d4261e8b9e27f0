"""What a pool gives beside its addresses: how many to one namespace, how long it remembers, whether it gives at all."""

from __future__ import annotations

from dataclasses import dataclass

DRAIN = "metallb.io/drain"
QUOTA = "metallb.io/quota-per-namespace"
STICKY = "metallb.io/sticky-seconds"


@dataclass(frozen=True, slots=True)
class Terms:
    """Written as annotations of the pool; without them a pool gives as much as it has, to whoever comes first.

    Attributes:
        draining: it gives nothing new; what it gave stays.
        quota: the most addresses that the Services of one namespace may hold together; None means no limit. A shared
            address counts once.
        sticky_s: seconds for which the addresses of a deleted Service are remembered for one of the same namespace and
            name; 0 means that they are not.
    """

    draining: bool = False
    quota: int | None = None
    sticky_s: int = 0


FREE = Terms()
"""No limits."""
