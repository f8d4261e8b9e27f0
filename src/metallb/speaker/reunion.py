"""After a standstill: whom a speaker has to hear before it speaks again."""

from __future__ import annotations

from collections.abc import Callable


class Reunion:
    """The others that are missed; calls back once, when nobody is any more."""

    def __init__(self, reunited: Callable[[], None]) -> None:
        """Nobody is missed."""
        self._reunited = reunited
        self._missed: frozenset[str] = frozenset()
        self._any: frozenset[str] = frozenset()
        self._open = False

    @property
    def is_open(self) -> bool:
        """Whether somebody is missed."""
        return self._open

    def begin(self, able: frozenset[str], others: frozenset[str]) -> None:
        """Misses all who can be asked for a sign of life; where there are none, any one of the others."""
        self._missed, self._any = able, frozenset() if able else others
        self._open = True

    def heard(self, name: str) -> None:
        """Somebody showed a sign of life."""
        if name in self._any:
            self._any = frozenset()
        self._missed -= {name}
        self._close()

    def only(self, live: frozenset[str]) -> None:
        """Who does not live is not missed."""
        self._missed &= live
        self._any &= live
        self._close()

    def _close(self) -> None:
        if self._open and not self._missed and not self._any:
            self._open = False
            self._reunited()
