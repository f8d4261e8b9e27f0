"""`metallb speaker`: its flags (spec/speaker.md 1.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from metallb.cli.flags import Flag, Resolved, SettingsError, bgp_type, log_level, namespace
from metallb.cli.starting import process_command
from metallb.kube.credentials import pod_namespace
from metallb.kube.tls import TlsSettings
from metallb.speaker.settings import SpeakerSettings
from metallb.telemetry.logs import LEVELS

_FRR: Final = "the FRR backends are not there yet"

FLAGS: Final = (
    Flag("namespace", "MetalLB's namespace; empty: the pod's own.", env="METALLB_NAMESPACE"),
    Flag("node-name", "Our node; required.", env="METALLB_NODE_NAME"),
    Flag("pod-name", "Our own Pod's name.", env="METALLB_POD_NAME"),
    Flag("host", "Deprecated.", env="METALLB_HOST", inert="deprecated, it has no meaning"),
    Flag(
        "ml-bindaddr",
        "Address that gossip listens on.",
        field="ml_bind_address",
        env="METALLB_ML_BIND_ADDR",
    ),
    Flag(
        "ml-bindport",
        "Port of gossip, TCP and UDP.",
        "7946",
        "port",
        field="ml_bind_port",
        env="METALLB_ML_BIND_PORT",
    ),
    Flag("ml-labels", "Label selector of the speakers' Pods.", env="METALLB_ML_LABELS"),
    Flag(
        "ml-secret-key-path",
        "Folder with the file secretkey, the key of gossip.",
        env="METALLB_ML_SECRET_KEY_PATH",
    ),
    Flag("ml-wan-config", "Slower timing of gossip.", "false", "switch"),
    Flag("port", "Port of the metrics over HTTPS; 0 disables them.", "9120", "port"),
    Flag("health-probe-port", "Port of the probes, on 127.0.0.1.", "17472", "port"),
    Flag("pprof-bind-address", "Address of the profiler.", inert="there is no profiler yet"),
    Flag("log-level", f"One of {', '.join(LEVELS)}.", "info"),
    Flag("lb-class", "Only announce Services of this load balancer class."),
    Flag("ignore-exclude-lb", "Ignore the node label exclude-from-external-load-balancers.", "false", "switch"),
    Flag(
        "bgp-debounce-timeout",
        "FRR: how long changes are gathered, in milliseconds.",
        "3000",
        "number",
        field="bgp_debounce_timeout_ms",
        env="METALLB_BGP_DEBOUNCE_TIMEOUT",
        inert=_FRR,
    ),
    Flag(
        "frrk8s-namespace", "Namespace of the FRRConfiguration; empty: MetalLB's.", env="FRRK8S_NAMESPACE", inert=_FRR
    ),
    Flag(
        "frrk8s-secret-passthrough",
        "Hand BGP passwords on as references.",
        "false",
        "switch",
        inert=_FRR,
        settled=("false",),
    ),
    Flag("tls-min-version", "VersionTLS12 or VersionTLS13 (empty: VersionTLS13)."),
    Flag("tls-cipher-suites", "Comma separated names of TLS 1.2 cipher suites."),
    Flag("tls-curve-preferences", "Comma separated numbers of curves."),
    Flag("metrics-cert-dir", "Folder with tls.crt and tls.key of the metrics; empty: self-signed in memory."),
)


def settings_of(resolved: Resolved, environ: Mapping[str, str]) -> SpeakerSettings:
    """The speaker's settings.

    Raises:
        SettingsError: a value that can't be.
        TlsSettingsError: the same, of the flags `--tls-*`.
    """
    values = dict(resolved.values)
    values["tls"] = TlsSettings.parse(
        values.pop("tls_min_version"), values.pop("tls_cipher_suites"), values.pop("tls_curve_preferences")
    )
    log_level(values["log_level"], LEVELS)
    values["namespace"] = namespace(values["namespace"], pod_namespace)
    if not values["node_name"]:
        raise SettingsError("--node-name: required, and $METALLB_NODE_NAME is empty")
    if values["bgp_debounce_timeout_ms"] <= 0:
        raise SettingsError(f"--bgp-debounce-timeout={values['bgp_debounce_timeout_ms']}: want a number above 0")
    values["frrk8s_namespace"] = values["frrk8s_namespace"] or values["namespace"]
    backend = bgp_type(environ)
    if values["frrk8s_secret_passthrough"] and backend != "frr-k8s":
        raise SettingsError(f"--frrk8s-secret-passthrough: wants METALLB_BGP_TYPE=frr-k8s, which is {backend!r}")
    return SpeakerSettings(**values, bgp_type=backend)


command = process_command("speaker", FLAGS, settings_of, "Announces the addresses that its node is elected for.")
