"""What the operator is told at its start (spec/operator.md 4.1, 4.2). Filled and checked by `metallb.cli`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

NO_METRICS: Final = ("", "0", ":0")
"""Addresses that mean: no metrics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorSettings:
    """Flags (first) and environment (after) with their defaults.

    Attributes:
        metrics_addr: the operator's own metrics, `host:port` or `:port`; one of `NO_METRICS`: none.
        enable_leader_election: campaign for the Lease before working.
        disable_cert_rotation: others manage the webhook's certificate, in `cert_dir`.
        cert_dir: where the webhook's certificate is mounted.
        cert_service_name: host part of the certificate's name.
        port: of `/readyz`.
        webhook_http2: HTTP/2 on the webhook's port.
        external_metallb_webhook_server: restart the webhook server's pods at start.
        namespace: `$OPERATOR_NAMESPACE`, never empty.
        controller_image: `$CONTROLLER_IMAGE`, never empty.
        speaker_image: `$SPEAKER_IMAGE`, never empty.
        frr_image: `$FRR_IMAGE`; may be empty: the native backend needs none.
        frrk8s_image: `$FRRK8S_IMAGE`; its default is the one that upstream's operator has.
        member_list_bind_port: `$MEMBER_LIST_BIND_PORT`.
        metrics_port: `$METRICS_PORT` of controller and speaker.
        frr_metrics_port: `$FRR_METRICS_PORT`.
        operand_liveness_port: `$OPERAND_LIVENESS_PORT` of controller and speaker.
        frrk8s_https_metrics_port: `$FRRK8S_HTTPS_METRICS_PORT`.
        frrk8s_frr_https_metrics_port: `$FRRK8S_FRR_HTTPS_METRICS_PORT`.
        frrk8s_metrics_port: `$FRRK8S_METRICS_PORT`; checked, without effect.
        frrk8s_frr_metrics_port: `$FRRK8S_FRR_METRICS_PORT`; checked, without effect.
        deploy_pod_monitors: `$DEPLOY_PODMONITORS` is exactly `true`.
        deploy_service_monitors: `$DEPLOY_SERVICEMONITORS` is exactly `true`; never both.
        disable_network_policies: `$DISABLE_NETWORK_POLICIES` is exactly `true`.
        frrk8s_external_namespace: `$FRRK8S_EXTERNAL_NAMESPACE`.
        deploy_frrk8s_from_cno: `$DEPLOY_FRRK8S_FROM_CNO` is exactly `true`.
        cno_min_frrk8s_version: `$CNO_MIN_FRRK8S_VERSION`.
        tls_cipher_suites: `$TLS_CIPHER_SUITES`, checked, handed on as written.
        tls_curve_preferences: `$TLS_CURVE_PREFERENCES`, the same.
        tls_min_version: `$TLS_MIN_VERSION`, the same.
        log_level: ours; upstream's operator has no such flag.
        api_server_port: ours, `$API_SERVER_PORT`: where the API server is beside 443 and 6443; 0: nowhere.
        webhook_port: of the webhook; fixed but for tests.
    """

    metrics_addr: str = "0"
    enable_leader_election: bool = False
    disable_cert_rotation: bool = False
    cert_dir: str = "/tmp/k8s-webhook-server/serving-certs"  # noqa: S108  # the path is the contract
    cert_service_name: str = "metallb-operator-webhook-service"
    port: int = 8080
    webhook_http2: bool = False
    external_metallb_webhook_server: bool = False
    namespace: str
    controller_image: str
    speaker_image: str
    frr_image: str = ""
    frrk8s_image: str = "quay.io/metallb/frr-k8s:v0.0.25"
    member_list_bind_port: int = 7946
    metrics_port: int = 9120
    frr_metrics_port: int = 9121
    operand_liveness_port: int = 17472
    frrk8s_https_metrics_port: int = 9140
    frrk8s_frr_https_metrics_port: int = 9141
    frrk8s_metrics_port: int = 7572
    frrk8s_frr_metrics_port: int = 7573
    deploy_pod_monitors: bool = False
    deploy_service_monitors: bool = False
    disable_network_policies: bool = False
    frrk8s_external_namespace: str = ""
    deploy_frrk8s_from_cno: bool = False
    cno_min_frrk8s_version: str = ""
    tls_cipher_suites: str = ""
    tls_curve_preferences: str = ""
    tls_min_version: str = ""
    log_level: str = "info"
    api_server_port: int = 0
    webhook_port: int = 9443

    @property
    def suites(self) -> str:
        """The cipher suites where they mean something: those of TLS 1.3 are fixed, and both together refused."""
        return "" if self.tls_min_version in {"", "VersionTLS13"} else self.tls_cipher_suites
