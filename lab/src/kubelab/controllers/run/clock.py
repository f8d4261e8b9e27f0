"""The one place where the controllers read the wall clock."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """The time of day, UTC."""
    return datetime.now(UTC)  # noqa: TID251  # this is the one place
