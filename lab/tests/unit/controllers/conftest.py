"""The recorded story of a real cluster's workloads, and a small world in which decisions can be played out."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kubelab.apiclient import PatchKind, Resource
from kubelab.controllers.decide.pods import is_deleting
from kubelab.controllers.decide.resources import PODS
from kubelab.controllers.decide.writes import Bind, Create, Delete, Patch, Record, Together, Update, Write

VECTORS = Path(__file__).parents[2] / "vectors" / "apiserver"
START = datetime(2026, 11, 23, 22, 30, 0, tzinfo=UTC)

Object = dict[str, Any]
Key = tuple[Resource, str, str]


class Story:
    """The recorded exchanges of one file, by name."""

    def __init__(self, file: str) -> None:
        lines = [json.loads(line) for line in (VECTORS / file).read_text().splitlines()]
        self.lines = {line["name"]: line for line in lines}

    def obj(self, name: str) -> Object:
        """An answer that is one object, without what no controller reads."""
        return self._whole(copy.deepcopy(self.lines[name]["response"]))

    def items(self, name: str) -> list[Object]:
        """The objects of an answer that is a list."""
        answer = copy.deepcopy(self.lines[name]["response"])
        head = {"apiVersion": answer["apiVersion"], "kind": answer["kind"].removesuffix("List")}
        return [self._whole(head | item) for item in answer["items"]]

    def _whole(self, obj: Object) -> Object:
        obj["metadata"].pop("managedFields", None)
        return obj


class World:
    """Objects by key, and what writes do to them: an API server reduced to what decisions can see."""

    def __init__(self) -> None:
        self.objects: dict[Key, Object] = {}
        self.events: list[Record] = []
        self.writes = 0
        self.now = START
        self._version = 100

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def all(self, resource: Resource) -> list[Object]:
        return [obj for (kind, _, _), obj in self.objects.items() if kind == resource]

    def get(self, resource: Resource, name: str, namespace: str = "default") -> Object:
        return self.objects[resource, namespace, name]

    def put(self, resource: Resource, obj: Object) -> Object:
        """Store an object as a client's request would."""
        obj = copy.deepcopy(obj)
        meta = obj["metadata"]
        key = (resource, meta.get("namespace", ""), meta["name"])
        old = self.objects.get(key)
        self._version += 1
        meta.setdefault("uid", f"uid-{self._version}")
        meta.setdefault("creationTimestamp", self.now.strftime("%Y-%m-%dT%H:%M:%SZ"))
        meta["resourceVersion"] = str(self._version)
        if old is None:
            meta.setdefault("generation", 1)
        elif old.get("spec") != obj.get("spec"):
            meta["generation"] = old["metadata"].get("generation", 0) + 1
        self.objects[key] = obj
        return obj

    def remove(self, resource: Resource, obj: Object) -> None:
        self.objects.pop((resource, obj["metadata"].get("namespace", ""), obj["metadata"]["name"]), None)

    def carry_out(self, writes: Iterable[Write]) -> int:
        """Do what a decision says; the number of writes that were not events."""
        count = 0
        for write in writes:
            if isinstance(write, Together):
                count += self.carry_out(write.writes)
            elif isinstance(write, Record):
                self.events.append(write)
            else:
                self._one(write)
                count += 1
                self.events += getattr(write, "then", ())
        self.writes += count
        return count

    def _one(self, write: Write) -> None:
        match write:
            case Create(resource, obj):
                meta = obj["metadata"]
                if "name" not in meta:
                    meta = meta | {"name": f"{meta['generateName']}{self._version:05}"}
                key = (resource, meta.get("namespace", ""), meta["name"])
                assert key not in self.objects, f"{key} exists"
                made = self.put(resource, obj | {"metadata": meta})
                made.setdefault("status", {})
            case Update(resource, obj, subresource):
                self._update(resource, obj, subresource)
            case Patch(resource, namespace, name, patch, kind, _):
                old = copy.deepcopy(self.objects[resource, namespace, name])
                merge(old, patch, lists=kind is PatchKind.STRATEGIC)
                self.put(resource, old)
            case Delete(resource, obj):
                self._delete(resource, obj)
            case Bind(pod, node):
                old = self.get(PODS, pod["metadata"]["name"], pod["metadata"]["namespace"])
                self.put(PODS, old | {"spec": old["spec"] | {"nodeName": node}})
            case _:
                raise AssertionError(write)

    def _update(self, resource: Resource, obj: Object, subresource: str) -> None:
        key = (resource, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        old = self.objects[key]
        assert old["metadata"]["resourceVersion"] == obj["metadata"]["resourceVersion"], "conflict"
        if subresource == "status":
            obj = old | {"status": obj["status"], "metadata": obj["metadata"]}
        else:
            obj = obj | {"status": old.get("status")}
        self.put(resource, obj)

    def _delete(self, resource: Resource, obj: Object) -> None:
        old = self.objects.get((resource, obj["metadata"].get("namespace", ""), obj["metadata"]["name"]))
        if old is None or old["metadata"]["uid"] != obj["metadata"]["uid"]:
            return
        if resource == PODS and old["spec"].get("nodeName") and not is_deleting(old):
            old = copy.deepcopy(old)
            old["metadata"]["deletionTimestamp"] = "2026-11-23T22:31:00Z"
            self.put(PODS, old)
        else:
            self.remove(resource, old)


def merge(target: Object, patch: Object, *, lists: bool) -> None:
    """A merge patch; with `lists` conditions are merged by their type, as a strategic patch does."""
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            target[key] = target.get(key) or {}
            merge(target[key], value, lists=lists)
        elif lists and key == "conditions":
            known = {c["type"]: c for c in target.get(key) or []}
            target[key] = list((known | {c["type"]: known.get(c["type"], {}) | c for c in value}).values())
        elif key not in {"resourceVersion", "uid"} and not key.startswith("$"):
            target[key] = value


@pytest.fixture(scope="session")
def workloads() -> Story:
    return Story("workloads.jsonl")


@pytest.fixture(scope="session")
def deletion() -> Story:
    return Story("deletion.jsonl")


@pytest.fixture(scope="session")
def make_world() -> Callable[[], World]:
    return World


@pytest.fixture(scope="session")
def now() -> datetime:
    return START


_TIMES = frozenset({"lastUpdateTime", "lastTransitionTime", "lastHeartbeatTime", "timeAdded"})


def masked(value: Any) -> Any:
    """Without times, which are never the same."""
    if isinstance(value, dict):
        return {key: "TIME" if key in _TIMES else masked(item) for key, item in value.items()}
    return [masked(item) for item in value] if isinstance(value, list) else value


@pytest.fixture(scope="session")
def mask() -> Callable[[Any], Any]:
    return masked
