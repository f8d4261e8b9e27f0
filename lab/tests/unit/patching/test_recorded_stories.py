"""Replay what kube-apiserver was recorded to answer: patches, applies, and who owns which field afterwards."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from kubelab.apiserver.errors import ApiError
from kubelab.apiserver.patching import apply, json_patch, managed, merge, strategic
from kubelab.apiserver.schema.model import Schema
from kubelab.objects import Json, Object

Story = Callable[[str], list[dict[str, Any]]]
SchemaOf = Callable[[str, str], Schema]

NOW = "2026-11-23T22:23:01Z"
KINDS = {
    "services": ("v1", "Service"),
    "configmaps": ("v1", "ConfigMap"),
    "deployments": ("apps/v1", "Deployment"),
    "daemonsets": ("apps/v1", "DaemonSet"),
    "pods": ("v1", "Pod"),
    "nodes": ("v1", "Node"),
    "namespaces": ("v1", "Namespace"),
    "customresourcedefinitions": ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    "priorityclasses": ("scheduling.k8s.io/v1", "PriorityClass"),
    "runtimeclasses": ("node.k8s.io/v1", "RuntimeClass"),
}
# What the server fills in after ownership is settled, so that nobody owns it.
FILLED = {
    "Service": {"spec": {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort"}},
    "Pod": {
        "spec": {
            "volumes",
            "serviceAccount",
            "serviceAccountName",
            "priority",
            "preemptionPolicy",
            "overhead",
            "tolerations",
        },
        "status": {"phase", "qosClass", "conditions"},
    },
    "Node": {"spec": {"taints"}},
}
GENERATION = "deprecated.daemonset.template.generation"
BY_SERVER = {
    "no field manager",
    "stale version",
    "name differs",
    "merge resourceVersion stale",
    "strategic selector immutable",
}


def timeless(entries: list[Object]) -> list[Object]:
    return [{name: value for name, value in entry.items() if name != "time"} for entry in entries]


def timed(entries: list[Object]) -> list[bool]:
    return ["time" in entry for entry in entries]


def covered(part: Json, whole: Json, where: str = "") -> None:
    """All that the pure function said is in the recorded object, which has defaults besides."""
    if isinstance(part, dict):
        assert isinstance(whole, dict), where
        for name, value in part.items():
            if value not in (None, {}, []):
                assert name in whole, f"{where}.{name}"
                covered(value, whole[name], f"{where}.{name}")
    elif isinstance(part, list):
        assert isinstance(whole, list), where
        assert len(part) == len(whole), where
        for index, (one, other) in enumerate(zip(part, whole, strict=True)):
            covered(one, other, f"{where}[{index}]")
    else:
        assert part == whole, where


def plain(obj: Object) -> Object:
    """Without what the server counts and owners, so that only content is compared."""
    varying = {"managedFields", "resourceVersion", "generation", "creationTimestamp", "uid"}
    metadata = {name: value for name, value in obj["metadata"].items() if name not in varying}
    if GENERATION in metadata.get("annotations", {}):
        metadata["annotations"] = {**metadata["annotations"], GENERATION: "0"}
    return {**obj, "metadata": metadata}


def as_sent(obj: Object, body: Object) -> Object:
    """The recorded object as it was when ownership was settled: with defaults, before the server filled it in."""
    kind, sent = obj["kind"], copy.deepcopy(obj)
    sent["metadata"].pop("managedFields", None)
    for part, names in FILLED.get(kind, {}).items():
        for name in names & set(sent.get(part, {})) - set(body.get(part, {})):
            del sent[part][name]
    for port in sent.get("spec", {}).get("ports", []) if kind == "Service" else []:
        port.pop("nodePort", None)
    for container in sent["spec"]["containers"] if kind == "Pod" else []:
        container.pop("volumeMounts", None)
    return sent


def as_wanted(answer: Object, live: Object) -> Object:
    """The recorded answer to a patch as it was when ownership was settled: owners and generation still as before."""
    before = live["metadata"]
    metadata = {**answer["metadata"], "managedFields": before["managedFields"]}
    if GENERATION in metadata.get("annotations", {}):
        metadata["annotations"] = {**metadata["annotations"], GENERATION: before["annotations"][GENERATION]}
    return {**answer, "metadata": metadata}


def query(path: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in path.partition("?")[2].split("&") if pair)


class Replay:
    """A store and the handlers that matter here: create, patch, apply. Defaults come from the recording."""

    def __init__(self, schema_of: SchemaOf) -> None:
        self.schema_of = schema_of
        self.store: dict[str, Object] = {}

    def kind(self, path: str) -> tuple[str, str, Schema]:
        api_version, kind = next(KINDS[part] for part in reversed(path.partition("?")[0].split("/")) if part in KINDS)
        return api_version, kind, self.schema_of(api_version, kind)

    def create(self, line: Object) -> None:
        answer = line["response"]
        api_version, _, schema = self.kind(line["path"])
        entries = managed.track_update(
            None,
            as_sent(answer, line["body"] if isinstance(line["body"], dict) else {}),
            schema,
            manager=query(line["path"]).get("fieldManager", "Python"),
            api_version=api_version,
            subresource="",
            now=NOW,
        )
        assert timeless(entries) == timeless(answer["metadata"]["managedFields"])
        self.store[f"{line['path'].partition('?')[0]}/{answer['metadata']['name']}"] = answer

    def patch(self, line: Object) -> None:
        path, _, _ = line["path"].partition("?")
        api_version, _, schema = self.kind(path)
        live, answer, mime = self.store[path], line["response"], line["headers"]["Content-Type"]
        if mime.startswith("application/json-patch"):
            patched = json_patch.apply(live, line["body"])
        elif mime.startswith("application/merge-patch"):
            patched = merge.apply(live, line["body"])
        else:
            patched = strategic.apply(live, line["body"], schema)
        known = {name: value for name, value in patched.get("spec", {}).items() if name != "nope"}
        covered(plain({**patched, **({"spec": known} if known else {})}), plain(answer))
        entries = managed.track_update(
            live,
            as_wanted(answer, live),
            schema,
            manager=query(line["path"]).get("fieldManager", "Python"),
            api_version=api_version,
            subresource="",
            now=NOW,
        )
        assert timeless(entries) == timeless(answer["metadata"]["managedFields"])
        self.store[path] = answer

    def apply(self, line: Object) -> None:
        path, _, _ = line["path"].partition("?")
        path, _, _ = path.partition("/status")
        api_version, _, schema = self.kind(path)
        live, answer, options = self.store.get(path), line["response"], query(line["path"])
        applied = line["body"]
        if isinstance(applied, str):  # as the server's YAML 1.1 reads `name: y`
            applied = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": True}, "data": {"a": "1"}}
        result = apply.apply(
            live,
            applied,
            schema,
            manager=options["fieldManager"],
            force=options.get("force") == "true",
            api_version=api_version,
            subresource="status" if line["path"].partition("?")[0].endswith("/status") else "",
            now=NOW,
        )
        entries, recorded = result["metadata"]["managedFields"], answer["metadata"]["managedFields"]
        assert timeless(entries) == timeless(recorded)
        assert timed(entries) == timed(recorded)
        covered(plain(result), plain(answer))
        if live is not None and live["metadata"]["resourceVersion"] == answer["metadata"].get("resourceVersion"):
            assert result is live
        self.store[path] = answer

    def handle(self, line: Object) -> None:
        mime = line["headers"].get("Content-Type", "")
        if line["method"] == "POST":
            self.create(line)
        elif mime == "application/apply-patch+yaml":
            self.apply(line)
        else:
            self.patch(line)


def mine(line: Object) -> bool:
    """Whether the answer depends on patching alone, and not on admission, validation or the path."""
    return line["name"] not in BY_SERVER and line["method"] in {"POST", "PATCH"} and line["status"] not in {404, 415}


@pytest.mark.parametrize("name", ["patches", "apply"])
def test_the_story_goes_as_recorded(story: Story, schema_of: SchemaOf, name: str) -> None:
    replay, failures, count = Replay(schema_of), [], 0
    for line in story(name):
        if not mine(line):
            continue
        count += 1
        before = copy.deepcopy(replay.store)
        try:
            if line["status"] >= 400:
                with pytest.raises(ApiError) as caught:
                    replay.handle(line)
                assert caught.value.status() == line["response"]
            else:
                replay.handle(line)
        except AssertionError as error:
            failures.append(f"{line['name']}: {error}")
            if line["status"] < 400 and line["method"] == "PATCH":
                replay.store[line["path"].partition("?")[0].removesuffix("/status")] = line["response"]
        for path, obj in before.items():
            if path in replay.store and replay.store[path]["metadata"].get("resourceVersion") == obj["metadata"].get(
                "resourceVersion"
            ):
                assert replay.store[path] == obj, "an input was changed"
    assert not failures, "\n\n".join(failures)
    assert count >= 20


@pytest.mark.parametrize("name", ["services", "workloads", "crds"])
def test_a_created_object_is_owned_as_recorded(story: Story, schema_of: SchemaOf, name: str) -> None:
    failures, count = [], 0
    for line in story(name):
        path = line["path"].partition("?")[0]
        if line["method"] != "POST" or line["status"] != 201 or path.rpartition("/")[2] not in KINDS:
            continue
        if not line["response"].get("metadata", {}).get("managedFields"):
            continue
        count += 1
        try:
            Replay(schema_of).create(line)
        except AssertionError as error:
            failures.append(f"{line['name']}: {error}")
    assert not failures, "\n\n".join(failures)
    assert count > 0
