"""What the controller is told at its start (spec/controller.md 1). Filled and checked by `metallb.cli`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from metallb.kube.tls import TlsSettings

WebhookMode = Literal["enabled", "disabled", "onlywebhook"]
BgpType = Literal["native", "frr", "frr-k8s"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerSettings:
    """Field by field the flags of spec/controller.md 1, with their defaults.

    Attributes:
        namespace: MetalLB's namespace, never empty.
        port: of the metrics over HTTPS; 0: none.
        ml_secret_name: the Secret with the gossip key to create; empty: none is created.
        deployment: our Deployment's name, the owner of that Secret.
        pod_name: our own Pod.
        log_level: one of `metallb.telemetry.logs.LEVELS`.
        pprof_bind_address: empty: disabled.
        health_probe_port: of the probes, on all interfaces.
        disable_cert_rotation: others manage the webhook's certificate.
        cert_dir: where the webhook's certificate is mounted.
        cert_service_name: host part of the certificate's name.
        webhook_secret: the Secret with the certificate.
        webhook_mode: `onlywebhook` gives no addresses.
        webhook_port: of the webhooks over HTTPS; no flag says it.
        webhook_http2: asked for HTTP/2 on that port; HTTP/1.1 is served.
        lb_class: only Services of this class; empty: only those without one.
        tls: of the metrics' and the webhook's servers.
        metrics_cert_dir: a folder with `tls.crt` and `tls.key`; empty: self-signed in memory.
        bgp_type: `$METALLB_BGP_TYPE`: which backend's limits the configuration is held against.
    """

    namespace: str
    port: int = 9120
    ml_secret_name: str = ""
    deployment: str = ""
    pod_name: str = ""
    log_level: str = "info"
    pprof_bind_address: str = ""
    health_probe_port: int = 17472
    disable_cert_rotation: bool = False
    cert_dir: str = "/tmp/k8s-webhook-server/serving-certs"  # noqa: S108  # the path is the contract
    cert_service_name: str = "metallb-webhook-service"
    webhook_secret: str = "metallb-webhook-cert"  # noqa: S105  # the secret's name
    webhook_mode: WebhookMode = "enabled"
    webhook_port: int = 9443
    webhook_http2: bool = False
    lb_class: str = ""
    tls: TlsSettings = field(default_factory=TlsSettings)
    metrics_cert_dir: str = ""
    bgp_type: BgpType = "native"
