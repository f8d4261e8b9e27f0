"""Every metric, declared once: name, help, labels; and a registry that a process fills and a scrape reads.

    metrics = Metrics(CONTROLLER)
    metrics.add(UPDATES)
    metrics.set(ADDRESSES, 256, "first-pool")
    metrics.remove(ADDRESSES, "first-pool")
    body = metrics.render()

Names are the contract, also where they break Prometheus' naming rules: gauges that end in `_total`, counters that
don't. That is why the values are kept here: prometheus_client renames such metrics.
Sources: spec/controller.md 13, spec/speaker.md 1.3; client-go and controller-runtime for their names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from metallb.telemetry.process import Figures, figures


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. Without labels it is 0 from the start, with labels it has no samples until one is set."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    labels: tuple[str, ...] = ()


ADDRESSES: Final = Metric(
    "metallb_allocator_addresses_total", "gauge", "Number of usable IP addresses, per pool.", ("pool",)
)
ADDRESSES_V4: Final = Metric(
    "metallb_allocator_ipv4_addresses_total", "gauge", "Number of usable IPv4 addresses, per pool.", ("pool",)
)
ADDRESSES_V6: Final = Metric(
    "metallb_allocator_ipv6_addresses_total", "gauge", "Number of usable IPv6 addresses, per pool.", ("pool",)
)
IN_USE: Final = Metric(
    "metallb_allocator_addresses_in_use_total",
    "gauge",
    "Number of IP addresses in use, per pool; a shared address counts once.",
    ("pool",),
)
IN_USE_V4: Final = Metric(
    "metallb_allocator_ipv4_addresses_in_use_total", "gauge", "Number of IPv4 addresses in use, per pool.", ("pool",)
)
IN_USE_V6: Final = Metric(
    "metallb_allocator_ipv6_addresses_in_use_total", "gauge", "Number of IPv6 addresses in use, per pool.", ("pool",)
)
SERVICES_ALLOCATED: Final = Metric(
    "metallb_allocator_services_allocated_total", "gauge", "Number of Services with an address, per pool.", ("pool",)
)

UPDATES: Final = Metric("metallb_k8s_client_updates_total", "counter", "Number of Kubernetes objects worked on.")
UPDATE_ERRORS: Final = Metric(
    "metallb_k8s_client_update_errors_total", "counter", "Number of Kubernetes objects whose processing failed."
)
CONFIG_LOADED: Final = Metric(
    "metallb_k8s_client_config_loaded_bool", "gauge", "1 if the configuration was successfully loaded at least once."
)
CONFIG_STALE: Final = Metric(
    "metallb_k8s_client_config_stale_bool",
    "gauge",
    "1 if an older configuration is in use, because the newest one is invalid.",
)

ANNOUNCED: Final = Metric(
    "metallb_speaker_announced",
    "gauge",
    "Services that are announced from this node; withdrawn ones have no sample.",
    ("service", "protocol", "node", "ip"),
)
LAYER2_REQUESTS: Final = Metric(
    "metallb_layer2_requests_received",
    "counter",
    "Number of ARP and neighbour discovery requests for addresses of this node.",
    ("ip",),
)
LAYER2_RESPONSES: Final = Metric(
    "metallb_layer2_responses_sent", "counter", "Number of ARP and neighbour discovery answers sent.", ("ip",)
)
LAYER2_GRATUITOUS: Final = Metric(
    "metallb_layer2_gratuitous_sent",
    "counter",
    "Number of gratuitous ARP and unsolicited neighbour advertisement frames sent.",
    ("ip",),
)
LAYER2_PROBES: Final = Metric(
    "metallb_layer2_probes_sent_total",
    "counter",
    "Number of frames sent to find out whether another host has an address, before it is announced and after.",
    ("ip",),
)
LAYER2_PASSED: Final = Metric(
    "metallb_layer2_frames_passed_total",
    "counter",
    "Number of ARP and neighbour discovery frames about addresses of this node that the kernel's filter let through.",
    ("interface", "protocol"),
)
LAYER2_DROPPED: Final = Metric(
    "metallb_layer2_frames_dropped_total",
    "counter",
    "Number of frames that were not answered or could not be sent, by reason.",
    ("interface", "protocol", "reason"),
)
LAYER2_CONFLICTS: Final = Metric(
    "metallb_layer2_conflicts_total",
    "counter",
    "Number of frames in which another host named an address of this node as its own.",
    ("interface", "ip"),
)
LAYER2_STRANGERS: Final = Metric(
    "metallb_layer2_address_held_by_stranger",
    "gauge",
    "1 while a host outside the cluster uses an address of a Service.",
    ("interface", "ip", "mac", "announced"),
)
MEMBERS: Final = Metric(
    "metallb_memberlist_members",
    "gauge",
    "Number of speakers as gossip sees them, this one among them, by state: live, silent (a member that is not heard), "
    "missing (it should be there, as the API says, and is no member).",
    ("state",),
)
MEMBERS_DROPPED: Final = Metric(
    "metallb_memberlist_dropped_total",
    "counter",
    "Number of datagrams and streams of gossip that could not be read, by reason; crypto: the sender has another key.",
    ("reason",),
)

REQUESTS: Final = Metric(
    "rest_client_requests_total",
    "counter",
    "Number of requests to the API server, by status code and method; code <error>: no answer.",
    ("code", "method", "host"),
)
RECONCILES: Final = Metric(
    "controller_runtime_reconcile_total",
    "counter",
    "Number of reconciliations, by result: success, requeue_after, error.",
    ("controller", "result"),
)
QUEUE_DEPTH: Final = Metric("workqueue_depth", "gauge", "Number of keys that wait for work.", ("name",))
LEADER: Final = Metric(
    "leader_election_master_status", "gauge", "1 if this replica leads, 0 if it stands by.", ("name",)
)
WEBHOOK_DECISIONS: Final = Metric(
    "metallb_webhook_decisions_total",
    "counter",
    "Number of admission reviews, by kind and result: allowed, refused, unreadable, not_ready.",
    ("kind", "result"),
)

_CLIENT: Final = (UPDATES, UPDATE_ERRORS, CONFIG_LOADED, CONFIG_STALE, REQUESTS, RECONCILES, QUEUE_DEPTH)
CONTROLLER: Final = (
    *(ADDRESSES, ADDRESSES_V4, ADDRESSES_V6, IN_USE, IN_USE_V4, IN_USE_V6, SERVICES_ALLOCATED),
    *(*_CLIENT, LEADER, WEBHOOK_DECISIONS),
)
"""What the controller shows."""

SPEAKER: Final = (
    *(ANNOUNCED, LAYER2_REQUESTS, LAYER2_RESPONSES, LAYER2_GRATUITOUS, LAYER2_PROBES),
    *(LAYER2_PASSED, LAYER2_DROPPED, LAYER2_CONFLICTS, LAYER2_STRANGERS, MEMBERS, MEMBERS_DROPPED),
    *_CLIENT,
)
"""What a speaker shows."""

OPERATOR: Final = (REQUESTS, RECONCILES, QUEUE_DEPTH, LEADER)
"""What the operator shows."""


_CPU: Final = Metric("process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.")
_VIRTUAL: Final = Metric("process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.")
_RESIDENT: Final = Metric("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.")
_START: Final = Metric("process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.")
_OPEN: Final = Metric("process_open_fds", "gauge", "Number of open file descriptors.")
_MOST: Final = Metric("process_max_fds", "gauge", "Maximum number of open file descriptors.")


def _of_process(told: Figures) -> Iterator[tuple[Metric, float]]:
    """By the names that all of Prometheus' clients use."""
    yield _CPU, told.cpu_s
    yield _VIRTUAL, told.virtual_bytes
    yield _RESIDENT, told.resident_bytes
    yield _START, told.started_s
    yield _OPEN, told.open_files
    yield _MOST, told.most_files


class Metrics:
    """The values of one process. For one thread: neither locks nor globals."""

    def __init__(self, declared: Sequence[Metric], *, process: bool = True) -> None:
        """All that may be set later, e.g. `CONTROLLER`; `process`: with CPU, memory and descriptors of the process."""
        self._values: dict[Metric, dict[tuple[str, ...], float]] = {
            metric: {} if metric.labels else {(): 0.0} for metric in declared
        }
        self._process = process

    def add(self, metric: Metric, *labels: str, amount: float = 1) -> None:
        """Counts up; about a microsecond.

        Raises:
            KeyError: the metric is not declared for this process.
            ValueError: as many label values are wanted as there are labels.
        """
        series = self._series(metric, labels)
        series[labels] = series.get(labels, 0.0) + amount

    def set(self, metric: Metric, value: float, *labels: str) -> None:
        """Sets a gauge, or a counter that is counted elsewhere.

        Raises:
            KeyError: the metric is not declared for this process.
            ValueError: as many label values are wanted as there are labels.
        """
        self._series(metric, labels)[labels] = float(value)

    def remove(self, metric: Metric, *labels: str) -> None:
        """Takes a sample away; it may be absent."""
        self._series(metric, labels).pop(labels, None)

    def value(self, metric: Metric, *labels: str) -> float | None:
        """A sample; None: there is none."""
        return self._series(metric, labels).get(labels)

    def labels(self, metric: Metric) -> list[tuple[str, ...]]:
        """The label values of all samples of a metric."""
        return list(self._values[metric])

    def render(self) -> bytes:
        """All samples in Prometheus' text format 0.0.4."""
        text = bytearray()  # line by line: there may be thousands, and a list of them would stay in the heap
        for metric, series in self._values.items():
            for line in _lines(metric, series) if series else ():
                text += line.encode()
        told = figures() if self._process else None
        for metric, value in () if told is None else _of_process(told):
            for line in _lines(metric, {(): value}):
                text += line.encode()
        return bytes(text)

    def _series(self, metric: Metric, labels: tuple[str, ...]) -> dict[tuple[str, ...], float]:
        if len(labels) != len(metric.labels):
            raise ValueError(f"{metric.name} has the labels {metric.labels}, got {labels}")
        return self._values[metric]


def _lines(metric: Metric, series: Mapping[tuple[str, ...], float]) -> Iterator[str]:
    yield f"# HELP {metric.name} {metric.help}\n"
    yield f"# TYPE {metric.name} {metric.kind}\n"
    for labels, value in series.items():
        pairs = ",".join(f'{name}="{_escape(text)}"' for name, text in zip(metric.labels, labels, strict=True))
        yield f"{metric.name}{{{pairs}}} {_number(value)}\n" if pairs else f"{metric.name} {_number(value)}\n"


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    """As Go writes it: whole numbers without a fraction, infinities as +Inf."""
    if value in {float("inf"), float("-inf")}:
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)  # noqa: PLR2004  # exact
