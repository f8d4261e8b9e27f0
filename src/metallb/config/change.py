"""A change that somebody asks for, and the answer to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from metallb.config.errors import ConfigError, ObjectName
from metallb.config.together import Resource

FIELDS: Final[Mapping[str, str]] = {
    "IPAddressPool": "pools",
    "L2Advertisement": "l2_advertisements",
    "BGPAdvertisement": "bgp_advertisements",
    "BGPPeer": "peers",
    "BFDProfile": "bfd_profiles",
    "Community": "communities",
}
"""Where the objects of each kind stand in a `Snapshot`."""


@dataclass(frozen=True, slots=True)
class Change:
    """An object that is created (no `before`), replaced, or deleted (no `after`).

    Attributes:
        kind: of the object; a BGPPeer is one of v1beta2.
        namespace: of the object.
        name: of the object.
        before: as it is.
        after: as it would be.
    """

    kind: str
    namespace: str
    name: str
    before: Resource | None
    after: Resource | None

    @property
    def object(self) -> ObjectName:
        """The object that changes."""
        return ObjectName(self.kind, self.namespace, self.name)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is answered: refused exactly when there are errors.

    Attributes:
        errors: permanent ones that the change would bring, sorted. The object that changes counts as the youngest.
        warnings: what else to know, in sentences that fit into an admission response; none with a refusal.
    """

    errors: tuple[ConfigError, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def allowed(self) -> bool:
        """Whether the change may be made."""
        return not self.errors
