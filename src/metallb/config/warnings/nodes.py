"""Node selectors that select no node, and the labels that are to blame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from metallb.api.core import LabelSelector
from metallb.config.errors import ObjectName
from metallb.config.reach import Choice, readable
from metallb.config.tables import Tables
from metallb.config.warnings.sentences import few


def unmatched(
    tables: Tables, name: ObjectName, written: Sequence[LabelSelector], outcome: str, path: str = "spec.nodeSelectors"
) -> Iterator[str]:
    """Says that a list of node selectors selects nothing, or asks for labels that no node has; unknown nodes pass."""
    selectors = readable(written)
    if not selectors or not tables.nodes:
        return
    asked = {each.key for selector in selectors for each in selector.requirements if each.operator in {"In", "Exists"}}
    missing = {key for key in asked if not tables.nodes.has_label(key)}
    nobody = not tables.nodes.matching(selectors)
    label = f"no node has the label {few(missing)}" if missing else ""
    if nobody:
        reason = f" ({label})" if label else ""
        yield f"{name}: {path} selects no node{reason}: {outcome}; label a node, or correct the selector"
    elif missing:
        yield f"{name}: {path}: {label}; label a node, or correct the selector"


def selects_any(tables: Tables, choice: Choice) -> bool:
    """Whether some known node is chosen; `unmatched` tells of those who choose none."""
    return len(tables.nodes) > 0 and (choice.everyone or bool(tables.nodes.matching(choice.selectors)))
