"""What the client must know of any object: its key and the few metadata fields that reads and writes rest on."""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol, TypeVar

import msgspec

from metallb.api.core import Model, ObjectMeta


class Key(NamedTuple):
    """An object by namespace (empty for cluster-scoped kinds) and name; printed `namespace/name`.

    Equal to any other (namespace, name) tuple, such as `metallb.api.net.ServiceKey`.
    """

    namespace: str
    name: str

    def __str__(self) -> str:
        """As in logs, events and metric labels."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class Kept(Protocol):
    """What an informer can keep: any Struct of ours with the usual metadata."""

    @property
    def metadata(self) -> ObjectMeta:
        """Name, namespace and resource version at least."""


K = TypeVar("K", bound=Kept)


class Bare(Model, frozen=True):
    """An object of any kind of which only the metadata matters."""

    metadata: ObjectMeta = ObjectMeta()


BARE: Final = msgspec.json.Decoder(Bare)
"""For answers of which only the metadata (name, uid, resource version) is of interest."""

OBJECT: Final = msgspec.json.Decoder(dict[str, object])
"""For the rare answer that must be kept whole."""


def key_of(kept: Kept) -> Key:
    """The key of an object."""
    return Key(kept.metadata.namespace, kept.metadata.name)
