"""What the tests of built-in kinds share: recorded exchanges, a storage of dicts, and a small server around a strategy."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kubelab.apiserver.builtin import admission, strategies
from kubelab.apiserver.errors import ApiError, invalid
from kubelab.apiserver.request import User
from kubelab.apiserver.resources import Context, Registry, ResourceInfo, Settings, Strategy, catalogue
from kubelab.objects import GroupResource, Object

VECTORS = Path(__file__).parents[2] / "vectors"
NOW = "2026-11-23T22:30:00Z"


def exchanges(name: str) -> list[Object]:
    lines = (VECTORS / "apiserver" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


class Store:
    """Objects by resource, namespace and name."""

    def __init__(self) -> None:
        self.objects: dict[tuple[GroupResource, str, str], Object] = {}

    def get(self, resource: GroupResource, namespace: str, name: str) -> Object | None:
        return self.objects.get((resource, namespace, name))

    def list(self, resource: GroupResource, namespace: str = "") -> list[Object]:
        return [
            obj for (res, space, _), obj in sorted(self.objects.items()) if res == resource and namespace in ("", space)
        ]


class Desk:
    """Creates and updates objects by their strategy, as the server does but for storage and metadata."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.store = Store()
        self.registry = Registry(catalogue(), {})
        self.strategies = strategies()
        self.settings = settings or Settings(service_cidrs=("10.96.0.0/16", "fd00:10:96::/112"))
        self.shared: dict[str, Any] = {}
        self.draw = random.Random(7).randrange
        self.now = NOW
        self.admission = False
        self.warnings: list[str] = []

    def info(self, resource: GroupResource) -> ResourceInfo:
        info = self.registry.by_group_resource(resource)
        assert info is not None
        return info

    def strategy(self, resource: GroupResource) -> Strategy:
        return self.strategies[resource]

    def context(self, resource: GroupResource, namespace: str = "", name: str = "", **more: Any) -> Context:
        values: dict[str, Any] = {
            "resource": self.info(resource),
            "subresource": "",
            "namespace": namespace,
            "name": name,
            "reader": self.store,
            "user": User("admin", ("system:masters", "system:authenticated")),
            "now": self.now,
            "now_micro": self.now.replace("Z", ".000000Z"),
            "draw": self.draw,
            "dry_run": False,
            "settings": self.settings,
            "shared": self.shared,
            "registry": self.registry,
        }
        return Context(**(values | more))

    def create(self, resource: GroupResource, body: Object, namespace: str = "default", **more: Any) -> Object:
        obj = copy.deepcopy(body)
        metadata = obj.setdefault("metadata", {})
        info = self.info(resource)
        if info.namespaced:
            metadata["namespace"] = namespace
        namespace = namespace if info.namespaced else ""
        metadata.setdefault("creationTimestamp", self.now)
        name = metadata.get("name", "")
        context = self.context(resource, namespace, name, **more)
        strategy = self.strategy(resource)
        if not strategy.status_on_create:
            obj.pop("status", None)
        strategy.default(obj)
        if self.admission:
            admission.admit("CREATE", obj, None, context)
        strategy.prepare_create(obj, context)
        self._judge(strategy.validate_create(obj, context), info, name)
        if self.admission:
            self.warnings = admission.judge("CREATE", obj, None, context)
        if not context.dry_run:
            self.store.objects[resource, namespace, name] = copy.deepcopy(obj)
        return obj

    def update(
        self, resource: GroupResource, namespace: str, name: str, change: Callable[[Object], Any], subresource: str = ""
    ) -> Object:
        info = self.info(resource)
        old = self.store.objects[resource, namespace, name]
        before = copy.deepcopy(old)
        obj = copy.deepcopy(old)
        change(obj)
        if subresource == "status":
            obj = {**copy.deepcopy(old), "metadata": obj["metadata"], "status": obj.get("status")}
        elif "status" in old:
            obj["status"] = copy.deepcopy(old["status"])
        context = self.context(resource, namespace, name, subresource=subresource)
        strategy = self.strategy(resource)
        strategy.default(obj)
        strategy.prepare_update(obj, old, context)
        self._judge(strategy.validate_update(obj, old, context), info, name)
        assert old == before, "a strategy changed what is stored"
        self.store.objects[resource, namespace, name] = copy.deepcopy(obj)
        return obj

    def delete(self, resource: GroupResource, namespace: str, name: str) -> None:
        obj = self.store.objects.pop((resource, namespace, name))
        self.strategy(resource).after_delete(obj, self.context(resource, namespace, name))

    def _judge(self, errors: list[Any], info: ResourceInfo, name: str) -> None:
        if errors:
            raise invalid(info.group, info.kind, name, errors)


def merged(obj: Object, patch: Object) -> None:
    """JSON merge patch (RFC 7386), in place."""
    for key, value in patch.items():
        if value is None:
            obj.pop(key, None)
        elif isinstance(value, dict) and isinstance(obj.get(key), dict):
            merged(obj[key], value)
        else:
            obj[key] = value


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def guarded() -> Desk:
    """A desk with admission, and what every cluster has: the default namespace and its account."""
    desk = Desk()
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}}
    desk.create(GroupResource("", "namespaces"), namespace)
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    desk.create(GroupResource("", "serviceaccounts"), account)
    desk.admission = True
    return desk


@pytest.fixture
def refused() -> Callable[..., ApiError]:
    def attempt(action: Callable[..., Any], *args: Any, **more: Any) -> ApiError:
        with pytest.raises(ApiError) as caught:
            action(*args, **more)
        return caught.value

    return attempt


@pytest.fixture(name="merged")
def merged_() -> Callable[[Object, Object], None]:
    return merged
