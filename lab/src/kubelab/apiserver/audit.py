"""Which rights were used and which were missing: every distinct question to authorization, counted.

`GET /debug/rights` shows them (for those who may do everything): what a process needs can be held against its roles.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from kubelab.apiserver.builtin.rbac import Attributes
from kubelab.objects import Object

PATH = "/debug/rights"


class Asked(NamedTuple):
    """A question and its answer."""

    user: str
    attributes: Attributes
    allowed: bool


class Audit:
    """All distinct questions since the server's start, up to a limit."""

    LIMIT = 10_000

    def __init__(self) -> None:
        self._asked: Counter[Asked] = Counter()

    def note(self, user: str, attributes: Attributes, *, allowed: bool) -> None:
        """Somebody has asked."""
        asked = Asked(user, attributes, allowed)
        if len(self._asked) < self.LIMIT or asked in self._asked:
            self._asked[asked] += 1

    def document(self) -> Object:
        """What has been asked, as JSON."""
        return {
            "items": [
                {
                    "user": asked.user,
                    "verb": asked.attributes.verb,
                    "group": asked.attributes.group,
                    "resource": asked.attributes.full_resource,
                    "namespace": asked.attributes.namespace,
                    "name": asked.attributes.name,
                    "path": asked.attributes.path,
                    "allowed": asked.allowed,
                    "count": count,
                }
                for asked, count in self._asked.items()
            ]
        }
