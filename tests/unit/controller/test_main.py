"""What the controller's wiring filters and shows: changes worth a reload, and the pools' counters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from metallb.api import v1beta1
from metallb.api.core import Namespace, ObjectMeta, Service
from metallb.config.model import Config
from metallb.controller.assignment import Assignment
from metallb.controller.main import _labels_changed, _spec_changed, show_pools
from metallb.kube.objects import Key
from metallb.kube.store import Change
from metallb.telemetry import metrics as m

KEY = Key("", "x")


def pool(generation: int = 1, **labels: str) -> v1beta1.IPAddressPool:
    metadata = ObjectMeta(name="p", generation=generation, labels=labels)
    return v1beta1.IPAddressPool(metadata=metadata, spec=v1beta1.IPAddressPoolSpec(addresses=("10.0.0.0/24",)))


def limited_pool(annotation: str) -> v1beta1.IPAddressPool:
    metadata = ObjectMeta(name="p", generation=1, annotations={annotation: "true"})
    return v1beta1.IPAddressPool(metadata=metadata, spec=pool().spec)


@pytest.mark.parametrize(
    ("before", "after", "matters"),
    [
        (None, pool(), True),
        (pool(), None, True),
        (pool(), pool(), False),
        (pool(), pool(2), True),
        (pool(), pool(a="b"), False),
        (pool(), limited_pool("metallb.io/drain"), True),
        (limited_pool("metallb.io/drain"), limited_pool("metallb.io/drain"), False),
        (pool(), limited_pool("example.org/any"), False),
    ],
)
def test_of_pools_specs_and_limits_count(before: Any, after: Any, matters: bool) -> None:  # noqa: FBT001  # a column
    assert _spec_changed(Change(KEY, before, after)) is matters


@pytest.mark.parametrize(
    ("before", "after", "matters"),
    [
        (None, {}, True),
        ({}, None, True),
        ({"a": "b"}, {"a": "b"}, False),
        ({"a": "b"}, {"a": "c"}, True),
    ],
)
def test_of_namespaces_labels_count(before: Any, after: Any, matters: bool) -> None:  # noqa: FBT001  # a column
    def namespace(labels: dict[str, str] | None) -> Namespace | None:
        return None if labels is None else Namespace(ObjectMeta(name="n", labels=labels))

    assert _labels_changed(Change(KEY, namespace(before), namespace(after))) is matters


class TestCounters:
    @pytest.fixture
    def shown(self) -> Callable[[Assignment, m.Metrics], dict[str, str]]:
        """What a scrape shows of the pools."""

        def read(assignment: Assignment, metrics: m.Metrics) -> dict[str, str]:
            show_pools(metrics, assignment)
            lines = metrics.render().decode().splitlines()
            return dict(line.rsplit(" ", 1) for line in lines if line.startswith("metallb_allocator_"))

        return read

    def test_count_addresses_by_family_and_a_shared_one_once(
        self,
        shown: Callable[..., dict[str, str]],
        make_pool: Callable[..., Any],
        make_service: Callable[..., Service],
        config_of: Callable[..., Config],
    ) -> None:
        assignment = Assignment()
        assignment.load(config_of(make_pool("p", "10.0.0.0/24", "2001:db8::/126", avoid_buggy_ips=True)))
        shared = {"metallb.io/allow-shared-ip": "k"}
        for name, port in (("a", 80), ("b", 443)):
            service = make_service(name, annotations=shared, ports=(("TCP", port),))
            assignment.decide(service.key, service)
        six = make_service("c", cluster_ips=("2001:db8:300::1",))
        assignment.decide(six.key, six)
        assert shown(assignment, m.Metrics(m.CONTROLLER)) == {
            'metallb_allocator_addresses_total{pool="p"}': "258",
            'metallb_allocator_ipv4_addresses_total{pool="p"}': "254",
            'metallb_allocator_ipv6_addresses_total{pool="p"}': "4",
            'metallb_allocator_addresses_in_use_total{pool="p"}': "2",
            'metallb_allocator_ipv4_addresses_in_use_total{pool="p"}': "1",
            'metallb_allocator_ipv6_addresses_in_use_total{pool="p"}': "1",
            'metallb_allocator_services_allocated_total{pool="p"}': "3",
        }

    def test_of_pools_that_are_gone_go_too(
        self,
        shown: Callable[..., dict[str, str]],
        make_pool: Callable[..., Any],
        config_of: Callable[..., Config],
    ) -> None:
        assignment, metrics = Assignment(), m.Metrics(m.CONTROLLER)
        assignment.load(config_of(make_pool("old", "10.0.0.0/24")))
        assert any("old" in name for name in shown(assignment, metrics))
        assignment.load(config_of(make_pool("new", "10.0.0.0/24")))
        found = shown(assignment, metrics)
        assert not any("old" in name for name in found)
        assert any("new" in name for name in found)

    def test_of_endless_pools_stop_at_what_a_counter_can_show(
        self,
        shown: Callable[..., dict[str, str]],
        make_pool: Callable[..., Any],
        config_of: Callable[..., Config],
    ) -> None:
        assignment = Assignment()
        assignment.load(config_of(make_pool("p", "2001:db8::/32", "2001:db9::/32")))
        found = shown(assignment, m.Metrics(m.CONTROLLER))
        assert float(found['metallb_allocator_addresses_total{pool="p"}']) == float(2**63 - 1)
