"""ConfigMaps, Secrets, accounts, bindings and webhook configurations in tables."""

from __future__ import annotations

from kubelab.apiserver.builtin.fields import entries, items
from kubelab.apiserver.builtin.printers.ages import age
from kubelab.objects import Json, Object


def _age(obj: Object, now: str) -> str:
    return age(obj["metadata"].get("creationTimestamp"), now)


def config_map(obj: Object, now: str) -> list[Json]:
    """Name, Data, Age."""
    count = len(entries(obj.get("data"))) + len(entries(obj.get("binaryData")))
    return [obj["metadata"]["name"], count, _age(obj, now)]


def secret(obj: Object, now: str) -> list[Json]:
    """Name, Type, Data, Age."""
    return [obj["metadata"]["name"], obj.get("type", ""), len(entries(obj.get("data"))), _age(obj, now)]


def service_account(obj: Object, now: str) -> list[Json]:
    """Name, Age."""
    return [obj["metadata"]["name"], _age(obj, now)]


def binding(obj: Object, now: str) -> list[Json]:
    """Name, Role, Age; Users, Groups, ServiceAccounts."""
    reference = obj["roleRef"]
    subjects = items(obj.get("subjects"))
    named = {
        kind: ", ".join(one.get("name", "") for one in subjects if one.get("kind") == kind)
        for kind in ("User", "Group")
    }
    accounts = (one for one in subjects if one.get("kind") == "ServiceAccount")
    return [
        obj["metadata"]["name"],
        f"{reference.get('kind')}/{reference.get('name')}",
        _age(obj, now),
        named["User"],
        named["Group"],
        ", ".join(f"{one.get('namespace', '')}/{one.get('name', '')}" for one in accounts),
    ]


def webhooks(obj: Object, now: str) -> list[Json]:
    """Name, Webhooks, Age."""
    return [obj["metadata"]["name"], len(items(obj.get("webhooks"))), _age(obj, now)]
