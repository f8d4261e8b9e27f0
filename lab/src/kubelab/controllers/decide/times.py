"""Timestamps as the API writes them."""

from __future__ import annotations

from datetime import UTC, datetime


def stamp(now: datetime) -> str:
    """To the second: `2026-11-23T22:30:18Z`."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def stamp_micro(now: datetime) -> str:
    """To the microsecond: `2026-11-23T22:30:18.123456Z`."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse(text: str | None) -> datetime | None:
    """The moment that a timestamp of the API says; None for a missing or unreadable one."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def seconds_since(text: str | None, now: datetime) -> float | None:
    """How long ago a timestamp was, in seconds."""
    moment = parse(text)
    return None if moment is None else (now - moment).total_seconds()
