"""`metallb controller`: its flags (spec/controller.md 1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from metallb.cli.flags import Flag, Resolved, SettingsError, bgp_type, log_level, namespace
from metallb.cli.starting import process_command
from metallb.controller.settings import ControllerSettings
from metallb.kube.credentials import pod_namespace
from metallb.kube.tls import TlsSettings
from metallb.telemetry.logs import LEVELS

_MODES: Final = ("enabled", "disabled", "onlywebhook")

FLAGS: Final = (
    Flag("port", "Port of the metrics over HTTPS; 0 disables them.", "9120", "port"),
    Flag("namespace", "MetalLB's namespace; empty: the pod's own.", env="METALLB_NAMESPACE"),
    Flag("ml-secret-name", "Secret with the speakers' gossip key to create.", env="METALLB_ML_SECRET_NAME"),
    Flag("deployment", "Our Deployment's name, owner of that Secret.", env="METALLB_DEPLOYMENT"),
    Flag("pod-name", "Our own Pod's name.", env="METALLB_POD_NAME"),
    Flag("log-level", f"One of {', '.join(LEVELS)}.", "info"),
    Flag("pprof-bind-address", "Address of the profiler.", inert="there is no profiler yet"),
    Flag("health-probe-port", "Port of the probes, on all interfaces.", "17472", "port"),
    Flag(
        "disable-cert-rotation",
        "Don't make the webhook's certificate: others keep the files of --cert-dir and the bundles of trusted CAs.",
        "false",
        "switch",
    ),
    Flag(
        "cert-dir",
        "With --disable-cert-rotation: folder with tls.crt and tls.key of the webhooks.",
        "/tmp/k8s-webhook-server/serving-certs",  # noqa: S108  # the path is the contract
    ),
    Flag("cert-service-name", "Host part of the certificate's name.", "metallb-webhook-service"),
    Flag("webhook-secret", "Secret that the certificate is kept in.", "metallb-webhook-cert"),
    Flag(
        "webhook-mode",
        "enabled: webhooks beside all else; onlywebhook: nothing but webhooks; disabled: no webhooks.",
        "enabled",
    ),
    Flag(
        "webhook-http2",
        "HTTP/2 on the webhook's port.",
        "false",
        "switch",
        inert="webhooks are served over HTTP/1.1, which every API server speaks",
        settled=("false",),
    ),
    Flag("lb-class", "Only handle Services of this load balancer class."),
    Flag("tls-min-version", "VersionTLS12 or VersionTLS13 (empty: VersionTLS13).", env="TLS_MIN_VERSION"),
    Flag("tls-cipher-suites", "Comma separated names of TLS 1.2 cipher suites.", env="TLS_CIPHER_SUITES"),
    Flag("tls-curve-preferences", "Comma separated numbers of curves.", env="TLS_CURVE_PREFERENCES"),
    Flag("metrics-cert-dir", "Folder with tls.crt and tls.key of the metrics; empty: self-signed in memory."),
)


def settings_of(resolved: Resolved, environ: Mapping[str, str]) -> ControllerSettings:
    """The controller's settings.

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
    if values["webhook_mode"] not in _MODES:
        raise SettingsError(f"--webhook-mode={values['webhook_mode']!r}: want one of {', '.join(_MODES)}")
    return ControllerSettings(**values, bgp_type=bgp_type(environ))


command = process_command("controller", FLAGS, settings_of, "Gives Services of type LoadBalancer their addresses.")
