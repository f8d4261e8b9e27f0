"""After a standstill or a cut: whom a speaker has to hear, or meet, before it speaks again."""

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

    def begin(self, missed: frozenset[str], others: frozenset[str] = frozenset()) -> None:
        """Misses all of the first; where there are none, any one of the others. `settle` has to follow."""
        self._missed, self._any = missed, frozenset() if missed else others
        self._open = True

    def settle(self) -> None:
        """Ends it if nobody is missed."""
        if self._open and not self._missed and not self._any:
            self._open = False
            self._reunited()

    def heard(self, name: str) -> None:
        """Somebody showed a sign of life."""
        if name in self._any:
            self._any = frozenset()
        self._missed -= {name}
        self.settle()

    def gone(self, names: frozenset[str]) -> None:
        """Who has died is not missed any more."""
        self._missed -= names
        self._any -= names
        self.settle()

    def give_up(self) -> None:
        """It took long enough: who is still missed is taken for dead."""
        self._missed = self._any = frozenset()
        self.settle()
