"""Which warnings there are for which kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from metallb.config.change import Change
from metallb.config.tables import Tables
from metallb.config.warnings.advertisements import of_advertisement
from metallb.config.warnings.peers import of_community, of_peer
from metallb.config.warnings.pools import of_pool

_BY_KIND: Final[Mapping[str, Callable[[Tables, Change], list[str]]]] = {
    "IPAddressPool": of_pool,
    "L2Advertisement": of_advertisement,
    "BGPAdvertisement": of_advertisement,
    "BGPPeer": of_peer,
    "Community": of_community,
}


def foresee(tables: Tables, change: Change) -> list[str]:
    """What a change would do, given everything else; the tables are afterwards as before."""
    warn = _BY_KIND.get(change.kind)
    return [] if warn is None else warn(tables, change)
