"""What an API server has told a client survives its kill."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kubelab.apiserver.journal import Journal
from kubelab.apiserver.server import Options, Server
from kubelab.apiserver.storage import Storage
from kubelab.objects import GroupResource

MAPS = "/api/v1/namespaces/default/configmaps"
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "gadgets.example.org"},
    "spec": {
        "group": "example.org",
        "scope": "Namespaced",
        "names": {"plural": "gadgets", "singular": "gadget", "kind": "Gadget", "listKind": "GadgetList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}
GADGET = {"apiVersion": "example.org/v1", "kind": "Gadget", "metadata": {"name": "g"}, "size": 3}
SERVICE: dict[str, Any] = {"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}], "type": "LoadBalancer"}}


@pytest.fixture
def start(tmp_path: Path, asker_of: Callable[[Server], Any]) -> Callable[[], Any]:
    """A server on the same file as the one before, which was killed: nothing was closed."""

    def begin() -> Any:
        return asker_of(Server(Options(draw=random.Random(1).randrange, journal=Journal(tmp_path / "journal"))))

    return begin


async def test_objects_come_back_as_they_were_told(start: Callable[[], Any]) -> None:
    ask = start()
    made = await ask("POST", MAPS, {"metadata": {"name": "a"}, "data": {"k": "v"}})
    await ask("POST", MAPS, {"metadata": {"name": "b"}})
    await ask("DELETE", f"{MAPS}/b")
    before = await ask("GET", MAPS)
    again = start()
    assert (await again("GET", f"{MAPS}/a")).body == made.body
    assert (await again("GET", MAPS)).body == before.body
    assert (await again("GET", f"{MAPS}/b")).status == 404


async def test_versions_go_on_and_preconditions_hold(start: Callable[[], Any]) -> None:
    first = (await start()("POST", MAPS, {"metadata": {"name": "a"}})).body
    ask = start()
    changed = await ask("PUT", f"{MAPS}/a", first | {"data": {"k": "1"}})
    assert int(changed.body["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])
    assert (await ask("PUT", f"{MAPS}/a", first | {"data": {"k": "2"}})).status == 409


async def test_custom_resources_are_served_again(start: Callable[[], Any]) -> None:
    ask = start()
    await ask("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", CRD)
    await ask("POST", "/apis/example.org/v1/namespaces/default/gadgets", GADGET)
    found = await start()("GET", "/apis/example.org/v1/namespaces/default/gadgets/g")
    assert found.body["size"] == 3


async def test_addresses_and_ports_in_use_are_not_given_again(start: Callable[[], Any]) -> None:
    services = "/api/v1/namespaces/default/services"
    made = (await start()("POST", services, SERVICE)).body["spec"]
    ask = start()
    taken = await ask(
        "POST", services, {"metadata": {"name": "b"}, "spec": {**SERVICE["spec"], "clusterIP": made["clusterIP"]}}
    )
    assert taken.status == 422
    taken = await ask(
        "POST", services, {"metadata": {"name": "b"}, "spec": {"type": "NodePort", "ports": made["ports"]}}
    )
    assert taken.status == 422


async def test_a_watch_from_before_the_kill_is_told_to_list_again(start: Callable[[], Any]) -> None:
    ask = start()
    version = (await ask("POST", MAPS, {"metadata": {"name": "a"}})).body["metadata"]["resourceVersion"]
    await ask("DELETE", f"{MAPS}/a")
    start()  # the file is written anew: nothing in it tells of config maps any more
    ask = start()
    stream = (await ask("GET", f"{MAPS}?watch=1&resourceVersion={version}&timeoutSeconds=1")).response.body
    assert [json.loads(each)["object"]["code"] async for each in stream] == [410]
    now = (await ask("GET", MAPS)).body["metadata"]["resourceVersion"]
    stream = (await ask("GET", f"{MAPS}?watch=1&resourceVersion={now}&timeoutSeconds=1")).response.body
    assert [each async for each in stream] == []


async def test_a_line_that_the_writer_was_killed_in_was_never_told(start: Callable[[], Any], tmp_path: Path) -> None:
    await start()("POST", MAPS, {"metadata": {"name": "a"}})
    with (tmp_path / "journal").open("ab") as file:
        file.write(b'["","configmaps","default/b",99')
    assert [each["metadata"]["name"] for each in (await start()("GET", MAPS)).body["items"]] == ["a"]


def test_a_journal_that_grows_is_written_anew(tmp_path: Path) -> None:
    path, resource = tmp_path / "journal", GroupResource("", "leases")
    journal, storage = Journal(path, rewrite_bytes=5_000), Storage()
    assert not journal.restore(storage)
    storage.observer = lambda resource, event: journal.note(storage, resource, event)
    for number in range(1_000):
        storage.write(resource, "default", "one", {"metadata": {"name": "one", "uid": "u"}, "n": number})
    assert path.stat().st_size < 6_000
    again = Storage()
    assert Journal(path).restore(again)
    assert (again.revision, again.list(resource)) == (storage.revision, storage.list(resource))
