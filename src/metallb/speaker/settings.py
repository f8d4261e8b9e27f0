"""What a speaker is told at its start (spec/speaker.md 1.1). Filled and checked by `metallb.cli`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from metallb.api.net import NodeName
from metallb.kube.tls import TlsSettings

BgpType = Literal["native", "frr", "frr-k8s"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerSettings:
    """Field by field the flags of spec/speaker.md 1.1, with their defaults.

    Attributes:
        namespace: MetalLB's namespace, never empty.
        node_name: our node, as in `spec.nodeName` of our Pod; never empty.
        pod_name: our own Pod.
        host: accepted, without meaning.
        ml_bind_address: where gossip listens.
        ml_bind_port: of gossip, TCP and UDP.
        ml_labels: the label selector of the speakers' Pods.
        ml_secret_key_path: a folder with the file `secretkey`; empty: gossip is not encrypted.
        ml_wan_config: gossip's slower timing.
        port: of the metrics over HTTPS; 0: none.
        health_probe_port: of the probes, on 127.0.0.1 only.
        pprof_bind_address: empty: disabled.
        log_level: one of `metallb.telemetry.logs.LEVELS`.
        lb_class: only Services of this class; empty: only those without one.
        ignore_exclude_lb: ignore the node label `node.kubernetes.io/exclude-from-external-load-balancers`.
        bgp_debounce_timeout_ms: FRR backend: how long changes are gathered.
        frrk8s_namespace: of the FRRConfiguration we write; never empty.
        frrk8s_secret_passthrough: FRR-K8s backend: hand BGP passwords on as references to their Secrets.
        tls: of the metrics' server.
        metrics_cert_dir: a folder with `tls.crt` and `tls.key`; empty: self-signed in memory.
        bgp_type: `$METALLB_BGP_TYPE`.
    """

    namespace: str
    node_name: NodeName
    pod_name: str = ""
    host: str = ""
    ml_bind_address: str = ""
    ml_bind_port: int = 7946
    ml_labels: str = ""
    ml_secret_key_path: str = ""
    ml_wan_config: bool = False
    port: int = 9120
    health_probe_port: int = 17472
    pprof_bind_address: str = ""
    log_level: str = "info"
    lb_class: str = ""
    ignore_exclude_lb: bool = False
    bgp_debounce_timeout_ms: int = 3000
    frrk8s_namespace: str = ""
    frrk8s_secret_passthrough: bool = False
    tls: TlsSettings = field(default_factory=TlsSettings)
    metrics_cert_dir: str = ""
    bgp_type: BgpType = "native"
