"""What speakers say of conflicts, by Service, and who is to look at it."""

from __future__ import annotations

from typing import Any

from metallb.advertisement.conflicts import Report
from metallb.api.core import ObjectMeta
from metallb.api.net import ServiceKey
from metallb.api.v1beta1_states import AddressConflict, ServiceL2Status, ServiceL2StatusStatus
from metallb.controller.heard import Heard
from metallb.kube.objects import Key
from metallb.kube.store import Change

WEB, MAIL = ServiceKey("default", "web"), ServiceKey("default", "mail")
HELD = AddressConflict("198.51.100.7", "eth0", "02:00:00:00:00:66")


def said(name: str, service: ServiceKey, label: str, node: str = "", *conflicts: AddressConflict) -> ServiceL2Status:
    labels = {
        "metallb.io/node": label,
        "metallb.io/service-name": service.name,
        "metallb.io/service-namespace": service.namespace,
    }
    metadata = ObjectMeta(name=name, namespace="metallb-system", resource_version=name, labels=labels)
    return ServiceL2Status(metadata, status=ServiceL2StatusStatus(node, conflicts=conflicts))


def made() -> tuple[Heard, list[Key]]:
    client: Any = None
    heard, told = Heard(client, "metallb-system"), list[Key]()
    heard.subscribe(told.append)
    return heard, told


def put(heard: Heard, item: ServiceL2Status) -> None:
    change = heard.informer.store.put(item)
    assert isinstance(change, Change)
    heard.informer._publish([change])


def test_reports_are_of_the_service_by_node() -> None:
    heard, told = made()
    assert heard.reports(WEB) == []
    put(heard, said("1", WEB, "a", "", HELD))
    put(heard, said("2", WEB, "b", "b"))
    put(heard, said("3", MAIL, "a", "a"))
    assert heard.reports(WEB) == [Report("a", False, (HELD,)), Report("b", True)]
    assert told == [Key("default", "web"), Key("default", "web"), Key("default", "mail")]


def test_an_object_without_labels_is_of_nobody() -> None:
    heard, told = made()
    put(heard, ServiceL2Status(ObjectMeta(name="x", namespace="metallb-system", labels={"metallb.io/node": "a"})))
    assert (told, heard.reports(ServiceKey("", ""))) == ([], [])


def test_one_that_goes_is_news_of_its_service() -> None:
    heard, told = made()
    put(heard, said("1", WEB, "a", "", HELD))
    change = heard.informer.store.remove(Key("metallb-system", "1"))
    assert change is not None
    heard.informer._publish([change])
    assert told == 2 * [Key("default", "web")]
    assert heard.reports(WEB) == []
