from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.parser import text_string_to_metric_families

from metallb.telemetry import metrics as m
from metallb.telemetry.metrics import CONTROLLER, OPERATOR, SPEAKER, Metric, Metrics
from metallb.telemetry.process import figures

SPECIFIED = {  # spec/controller.md 13, spec/speaker.md 1.3
    "metallb_allocator_addresses_total": ("gauge", ("pool",)),
    "metallb_allocator_ipv4_addresses_total": ("gauge", ("pool",)),
    "metallb_allocator_ipv6_addresses_total": ("gauge", ("pool",)),
    "metallb_allocator_addresses_in_use_total": ("gauge", ("pool",)),
    "metallb_allocator_ipv4_addresses_in_use_total": ("gauge", ("pool",)),
    "metallb_allocator_ipv6_addresses_in_use_total": ("gauge", ("pool",)),
    "metallb_allocator_services_allocated_total": ("gauge", ("pool",)),
    "metallb_k8s_client_updates_total": ("counter", ()),
    "metallb_k8s_client_update_errors_total": ("counter", ()),
    "metallb_k8s_client_config_loaded_bool": ("gauge", ()),
    "metallb_k8s_client_config_stale_bool": ("gauge", ()),
    "metallb_speaker_announced": ("gauge", ("service", "protocol", "node", "ip")),
    "metallb_layer2_requests_received": ("counter", ("ip",)),
    "metallb_layer2_responses_sent": ("counter", ("ip",)),
    "metallb_layer2_gratuitous_sent": ("counter", ("ip",)),
}


def test_each_metric_of_the_specification_is_declared_as_it_says() -> None:
    declared = {metric.name: (metric.kind, metric.labels) for metric in {*CONTROLLER, *SPEAKER}}
    assert {name: declared.get(name) for name in SPECIFIED} == SPECIFIED


@pytest.mark.parametrize("declared", [CONTROLLER, SPEAKER, OPERATOR])
def test_each_metric_is_declared_once_and_explained(declared: tuple[Metric, ...]) -> None:
    assert len({metric.name for metric in declared}) == len(declared)
    assert all(metric.help.endswith(".") for metric in declared)


def test_a_scrape_shows_names_types_and_values() -> None:
    metrics = Metrics(SPEAKER, process=False)
    metrics.add(m.UPDATES)
    metrics.add(m.LAYER2_REQUESTS, "198.51.100.1", amount=3)
    metrics.set(m.ANNOUNCED, 1, "ns/web", "layer2", "n1", "198.51.100.1")
    assert metrics.render().decode() == (
        "# HELP metallb_speaker_announced Services that are announced from this node; withdrawn ones have no sample.\n"
        "# TYPE metallb_speaker_announced gauge\n"
        'metallb_speaker_announced{service="ns/web",protocol="layer2",node="n1",ip="198.51.100.1"} 1\n'
        "# HELP metallb_layer2_requests_received Number of ARP and neighbour discovery requests for addresses of this node.\n"
        "# TYPE metallb_layer2_requests_received counter\n"
        'metallb_layer2_requests_received{ip="198.51.100.1"} 3\n'
        "# HELP metallb_k8s_client_updates_total Number of Kubernetes objects worked on.\n"
        "# TYPE metallb_k8s_client_updates_total counter\n"
        "metallb_k8s_client_updates_total 1\n"
        "# HELP metallb_k8s_client_update_errors_total Number of Kubernetes objects whose processing failed.\n"
        "# TYPE metallb_k8s_client_update_errors_total counter\n"
        "metallb_k8s_client_update_errors_total 0\n"
        "# HELP metallb_k8s_client_config_loaded_bool 1 if the configuration was successfully loaded at least once.\n"
        "# TYPE metallb_k8s_client_config_loaded_bool gauge\n"
        "metallb_k8s_client_config_loaded_bool 0\n"
        "# HELP metallb_k8s_client_config_stale_bool 1 if an older configuration is in use, because the newest one is invalid.\n"
        "# TYPE metallb_k8s_client_config_stale_bool gauge\n"
        "metallb_k8s_client_config_stale_bool 0\n"
    )


@pytest.mark.parametrize("value", [0.0, 1.0, -3.0, 0.1, 9223372036854775807.0, 2.0**53, float("inf"), float("-inf")])
@pytest.mark.parametrize("pool", ["plain", 'with "quotes"', "with \\ and\nlines", "", "ü"])
def test_a_scraper_reads_what_was_set(value: float, pool: str) -> None:
    metrics = Metrics(CONTROLLER)
    metrics.set(m.ADDRESSES, value, pool)
    families = {family.name: family for family in text_string_to_metric_families(metrics.render().decode())}
    (sample,) = families["metallb_allocator_addresses_total"].samples
    assert (sample.labels, sample.value) == ({"pool": pool}, value)
    assert "process_resident_memory_bytes" in families


def test_a_process_tells_of_itself_what_prometheus_client_tells() -> None:
    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    theirs = {family.name: family for family in text_string_to_metric_families(generate_latest(registry).decode())}
    text = Metrics(OPERATOR).render().decode()
    ours = {family.name: family for family in text_string_to_metric_families(text) if family.name in theirs}
    assert {name: (each.type, each.documentation) for name, each in ours.items()} == {
        name: (each.type, each.documentation) for name, each in theirs.items()
    }

    def value(families: dict[str, Family], name: str) -> float:
        return float(families[name].samples[0].value)

    for name in ("process_start_time_seconds", "process_max_fds", "process_open_fds"):
        assert value(ours, name) == value(theirs, name)
    assert value(ours, "process_cpu_seconds") >= value(theirs, "process_cpu_seconds") > 0
    for name in ("process_resident_memory_bytes", "process_virtual_memory_bytes"):
        assert value(ours, name) == pytest.approx(value(theirs, name), rel=0.2)


def test_where_the_system_does_not_tell_there_are_no_figures(tmp_path: Path) -> None:
    assert figures(tmp_path) is None


def test_the_labels_of_a_metric_are_those_that_were_set() -> None:
    metrics = Metrics(CONTROLLER, process=False)
    metrics.set(m.ADDRESSES, 1, "p")
    metrics.set(m.ADDRESSES, 1, "q")
    assert metrics.labels(m.ADDRESSES) == [("p",), ("q",)]


def test_a_removed_sample_is_gone_and_may_be_removed_again() -> None:
    metrics = Metrics(CONTROLLER, process=False)
    metrics.set(m.ADDRESSES, 1, "p")
    for _ in range(2):
        metrics.remove(m.ADDRESSES, "p")
    assert metrics.value(m.ADDRESSES, "p") is None
    assert b"addresses_total" not in metrics.render()


def test_a_metric_of_another_process_or_with_other_labels_is_a_mistake() -> None:
    metrics = Metrics(CONTROLLER, process=False)
    with pytest.raises(KeyError):
        metrics.add(m.LAYER2_REQUESTS, "198.51.100.1")
    with pytest.raises(ValueError):
        metrics.set(m.ADDRESSES, 1)
