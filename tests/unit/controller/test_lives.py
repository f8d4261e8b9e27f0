"""Lives of pools and Services as upstream's controller was recorded to lead them, led again here step by step.

Compared is which Services hold addresses, of which families, from which pool. What differs is listed with its reason;
from such a step on the life goes on from what upstream showed, as if its controller had been replaced by ours there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from metallb.api import v1beta1
from metallb.api.core import LoadBalancerIngress, LoadBalancerStatus, Service, ServiceStatus
from metallb.api.net import ServiceKey
from metallb.controller.status import POOL_ANNOTATION

Holds = dict[str, tuple[tuple[str, ...], str]]

EXCEPTIONS = {
    (11, 5): "a request that can't be met (of a family the Service lacks) does not cost the address that it has",
    (21, 15): "two wait for one address: here the older one gets it, upstream's choice differs from run to run",
}


def service_of(namespace: str, name: str, body: Any, number: int) -> Service:
    """As the API server shows it: the cluster's Services are dual-stack."""
    addresses = {"IPv4": f"198.18.128.{number + 1}", "IPv6": f"2001:db8:300::{number + 1:x}"}
    cluster_ips = [addresses[family] for family in body["spec"]["ipFamilies"]]
    spec = {**body["spec"], "clusterIPs": cluster_ips, "clusterIP": cluster_ips[0]}
    created = f"2026-01-01T00:{number // 60:02}:{number % 60:02}Z"
    metadata = {**body["metadata"], "namespace": namespace, "name": name, "creationTimestamp": created}
    return msgspec.convert({"metadata": metadata, "spec": spec}, Service)


def take(life: Any, step: list[Any], number: int) -> None:
    match step:
        case ["pool", name, spec]:
            resource = {"metadata": {"name": name, "namespace": "metallb-system"}, "spec": spec}
            life.pools[name] = msgspec.convert(resource, v1beta1.IPAddressPool)
            life.reload()
        case ["delpool", name]:
            del life.pools[name]
            life.reload()
        case ["svc", namespace, name, body]:
            life.put(service_of(namespace, name, body, number))
        case ["delsvc", namespace, name]:
            life.delete(ServiceKey(namespace, name))
        case ["restart"]:
            life.restart()
        case ["type", namespace, name, kind]:
            known = life.services[ServiceKey(namespace, name)]
            life.put(msgspec.structs.replace(known, spec=msgspec.structs.replace(known.spec, type=kind)))
        case ["annotate", namespace, name, changes]:
            known = life.services[ServiceKey(namespace, name)]
            annotations = {k: v for k, v in {**known.metadata.annotations, **changes}.items() if v is not None}
            metadata = msgspec.structs.replace(known.metadata, annotations=annotations)
            life.put(msgspec.structs.replace(known, metadata=metadata))
        case _:
            raise AssertionError(step)


def compared(holds: Holds) -> dict[str, tuple[list[bool], str]]:
    return {key: (sorted(":" in address for address in ips), pool) for key, (ips, pool) in holds.items()}


def continue_from(life: Any, holds: Holds) -> None:
    for key, (ips, pool) in holds.items():
        known = life.services[ServiceKey(*key.split("/"))]
        annotations = {k: v for k, v in known.metadata.annotations.items() if k != POOL_ANNOTATION}
        annotations |= {POOL_ANNOTATION: pool} if pool else {}
        life.services[known.key] = msgspec.structs.replace(
            known,
            metadata=msgspec.structs.replace(known.metadata, annotations=annotations),
            status=ServiceStatus(LoadBalancerStatus(tuple(LoadBalancerIngress(ip=ip) for ip in ips))),
        )
    life.restart()


@pytest.mark.parametrize("number", [7, 11, 21])
def test_every_step_ends_as_recorded(number: int, life: Any, recorded: Callable[[str], Any]) -> None:
    life.reload()
    steps = recorded(f"controller/life-{number}.jsonl")
    for position, row in enumerate(steps):
        take(life, row["step"], position)
        theirs = {key: (tuple(ips), pool) for key, (ips, pool) in row["holds"].items()}
        if (number, position) in EXCEPTIONS:
            assert compared(life.holds()) != compared(theirs), "no exception any more: take it off the list"
            continue_from(life, theirs)
        else:
            assert compared(life.holds()) == compared(theirs), (position, row["step"])
    assert len(steps) == 70


@pytest.mark.parametrize("number", [7, 11, 21])
def test_a_restart_after_any_step_changes_nothing(number: int, life: Any, recorded: Callable[[str], Any]) -> None:
    life.reload()
    for position, row in enumerate(recorded(f"controller/life-{number}.jsonl")):
        take(life, row["step"], position)
        before, writes = dict(life.services), life.writes
        life.restart()
        assert life.services == before, (position, row["step"])
        assert life.writes == writes
