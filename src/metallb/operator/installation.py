"""What the operator knows beside the MetalLB resource: where it is, images, ports, platform (spec/operator.md 4.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Monitors = Literal["", "service", "pod"]


@dataclass(frozen=True, slots=True)
class Installation:
    """Images are used as written.

    Attributes:
        namespace: the operator's, and of all that it makes.
        controller_image: of the controller.
        speaker_image: of the speakers.
        version: for the label.
        frr_image: of FRR; only the FRR backends need one.
        frrk8s_image: of frr-k8s; only that backend needs one.
        metrics_port: of controller and speakers.
        liveness_port: of their probes.
        memberlist_port: of gossip.
        frr_metrics_port: of FRR beside a speaker.
        frrk8s_metrics_port: of frr-k8s.
        frrk8s_frr_metrics_port: of the FRR beside it.
        frrk8s_namespace: where an external frr-k8s runs unless the resource says.
        api_ports: on which the API server may be, for network policies.
        network_policies: whether there are any.
        monitors: how Prometheus finds the metrics; empty: by itself.
        openshift: whether the cluster is OpenShift.
        network_operator: on OpenShift, the oldest network operator that brings FRR-K8s; None: it is not asked for it.
        tls_cipher_suites: handed on as written; empty: not at all.
        tls_curve_preferences: the same.
        tls_min_version: the same.
    """

    namespace: str
    controller_image: str
    speaker_image: str
    version: str
    frr_image: str = ""
    frrk8s_image: str = ""
    metrics_port: int = 9120
    liveness_port: int = 17472
    memberlist_port: int = 7946
    frr_metrics_port: int = 9121
    frrk8s_metrics_port: int = 9140
    frrk8s_frr_metrics_port: int = 9141
    frrk8s_namespace: str = ""
    api_ports: tuple[int, ...] = (443, 6443)
    network_policies: bool = True
    monitors: Monitors = ""
    openshift: bool = False
    network_operator: str | None = None
    tls_cipher_suites: str = ""
    tls_curve_preferences: str = ""
    tls_min_version: str = ""

    @property
    def serving_certificates(self) -> bool:
        """Whether the platform makes certificates for metrics: it does for the Services of service monitors."""
        return self.openshift and self.monitors == "service"
