"""What requests and reconciliations add to the metrics: functions to hand to `KubeClient` and `Reconciler`."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from metallb.kube.reconciler import Again, Done, Outcome
from metallb.telemetry.metrics import RECONCILES, REQUESTS, Metrics


def requests_of(metrics: Metrics, server: str) -> Callable[[str, int], None]:
    """For `KubeClient(observe=...)`; `server` is the API server's URL."""
    host = urlsplit(server).netloc

    def observe(method: str, code: int) -> None:
        metrics.add(REQUESTS, str(code) if code else "<error>", method, host)

    return observe


def outcomes_of(metrics: Metrics, name: str) -> Callable[[Outcome], None]:
    """For `Reconciler(observe=...)`; `name` is the reconciler's."""

    def observe(outcome: Outcome) -> None:
        result = {Done: "success", Again: "requeue_after"}.get(type(outcome), "error")
        metrics.add(RECONCILES, name, result)

    return observe
