"""Nobody grants more than he holds: which rules of a new role or binding its author does not hold himself (KEP-279)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from kubelab.apiserver.builtin.fields import items, quoted
from kubelab.apiserver.request import User
from kubelab.objects import Object


def missing(held: Sequence[Object], wanted: Iterable[Object]) -> list[Object]:
    """The parts of wanted rules that no held rule covers, joined again where they differ by verb only."""
    parts = [part for rule in wanted for part in _parts(rule) if not any(_covers(owner, part) for owner in held)]
    return _joined(parts)


def refusal(user: User, rules: Iterable[Object]) -> str:
    """The sentence that refuses a grant."""
    lines = sorted({_compact(rule) for rule in rules})
    who = f'user "{user.name}" (groups={quoted(user.groups)})'
    return f"{who} is attempting to grant RBAC permissions not currently held:\n" + "\n".join(lines)


def _parts(rule: Object) -> Iterator[Object]:
    """A rule as rules of one verb on one thing."""
    verbs = items(rule.get("verbs"))
    names = items(rule.get("resourceNames"))
    for group in items(rule.get("apiGroups")):
        for resource in items(rule.get("resources")):
            for verb in verbs:
                one: Object = {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
                if names:
                    yield from (one | {"resourceNames": [name]} for name in names)
                else:
                    yield one
    for path in items(rule.get("nonResourceURLs")):
        yield from ({"nonResourceURLs": [path], "verbs": [verb]} for verb in verbs)


def _covers(owner: Object, part: Object) -> bool:
    if not _has(owner, "verbs", part["verbs"][0]):
        return False
    if "nonResourceURLs" in part:
        path = part["nonResourceURLs"][0]
        return any(_covers_path(pattern, path) for pattern in items(owner.get("nonResourceURLs")))
    resource = part["resources"][0]
    held = items(owner.get("resources"))
    parent, slash, subresource = resource.partition("/")
    covers_resource = "*" in held or resource in held or (bool(slash) and parent != "*" and f"*/{subresource}" in held)
    owner_names = items(owner.get("resourceNames"))
    names = part.get("resourceNames")
    covers_names = not owner_names or (names is not None and names[0] in owner_names)
    return covers_resource and covers_names and _has(owner, "apiGroups", part["apiGroups"][0])


def _has(owner: Object, field: str, value: str) -> bool:
    held = items(owner.get(field))
    return "*" in held or value in held


def _covers_path(pattern: str, path: str) -> bool:
    return pattern == path or (pattern.endswith("*") and path.startswith(pattern.rstrip("*")))


def _joined(parts: list[Object]) -> list[Object]:
    joined: list[Object] = []
    simple: dict[tuple[str, str], Object] = {}
    for part in parts:
        if "resourceNames" in part or "nonResourceURLs" in part:
            joined.append(part)
            continue
        key = (part["apiGroups"][0], part["resources"][0])
        if key not in simple:
            simple[key] = part
            joined.append(part)
        elif part["verbs"][0] not in simple[key]["verbs"]:
            simple[key]["verbs"].append(part["verbs"][0])
    return joined


_SHOWN = (
    ("apiGroups", "APIGroups"),
    ("resources", "Resources"),
    ("nonResourceURLs", "NonResourceURLs"),
    ("resourceNames", "ResourceNames"),
    ("verbs", "Verbs"),
)


def _compact(rule: Object) -> str:
    shown = (f"{word}:{_strings(rule[field])}" for field, word in _SHOWN if rule.get(field))
    return "{" + ", ".join(shown) + "}"


def _strings(values: list[str]) -> str:
    return "[" + " ".join(quoted([value])[1:-1] for value in values) + "]"
