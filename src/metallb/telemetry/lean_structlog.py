"""structlog without rich: its console renderer imports rich wherever that is installed, 4 MiB that no daemon uses."""

from __future__ import annotations

import sys

_hidden = "rich" not in sys.modules
if _hidden:
    sys.modules["rich"] = None  # type: ignore[assignment]  # Python's way to say: this can't be imported

try:
    from structlog import BoundLoggerBase
finally:
    if _hidden:
        del sys.modules["rich"]

__all__ = ["BoundLoggerBase"]
