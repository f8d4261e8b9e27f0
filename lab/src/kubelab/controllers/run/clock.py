"""The one place where the controllers read the wall clock and draw lots."""

from __future__ import annotations

import random
from datetime import UTC, datetime


def now() -> datetime:
    """The time of day, UTC."""
    return datetime.now(UTC)  # noqa: TID251  # this is the one place


def draw(limit: int) -> int:
    """A number from 0 to `limit` - 1."""
    return random.randrange(limit)
