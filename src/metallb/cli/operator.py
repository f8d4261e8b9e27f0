"""`metallb operator`: its flags and environment (spec/operator.md 4.1, 4.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from metallb.cli.flags import Flag, Resolved, SettingsError, log_level
from metallb.cli.starting import process_command
from metallb.kube.tls import TlsSettings
from metallb.operator.settings import NO_METRICS, OperatorSettings
from metallb.telemetry.logs import LEVELS

_FRR: Final = "the FRR backends are not there yet"
_VERSION: Final = re.compile(r"v?\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?")

FLAGS: Final = (
    Flag("metrics-addr", "`host:port` of the operator's own metrics, over TLS; 0 disables them.", "0"),
    Flag("enable-leader-election", "Work only while holding the Lease.", "false", "switch"),
    Flag(
        "disable-cert-rotation",
        "Don't manage the webhook's certificate.",
        "false",
        "switch",
    ),
    Flag("cert-dir", "Folder of a certificate that others keep.", "/tmp/k8s-webhook-server/serving-certs"),  # noqa: S108  # the path is the contract
    Flag("cert-service-name", "Host part of the certificate's name.", "metallb-operator-webhook-service"),
    Flag("port", "Port of the readiness probe.", "8080", "port"),
    Flag(
        "webhook-http2",
        "HTTP/2 on the webhook's port.",
        "false",
        "switch",
        inert="webhooks speak HTTP/1.1, which every API server takes",
        settled=("false",),
    ),
    Flag(
        "external-metallb-webhook-server",
        "Restart the webhook server's pods at start.",
        "false",
        "switch",
        inert="its pods are replaced when their TLS settings change, unasked, and only then",
        settled=("false",),
    ),
    Flag("log-level", f"One of {', '.join(LEVELS)}.", "info"),
    Flag("", "Our namespace.", field="namespace", env="OPERATOR_NAMESPACE"),
    Flag("", "Image of the controller.", field="controller_image", env="CONTROLLER_IMAGE"),
    Flag("", "Image of the speaker.", field="speaker_image", env="SPEAKER_IMAGE"),
    Flag("", "Image of FRR.", field="frr_image", env="FRR_IMAGE"),
    Flag("", "Image of FRR-K8s.", "quay.io/metallb/frr-k8s:v0.0.25", field="frrk8s_image", env="FRRK8S_IMAGE"),
    Flag("", "Port of gossip.", "7946", "port", "member_list_bind_port", "MEMBER_LIST_BIND_PORT"),
    Flag("", "Metrics of controller and speaker.", "9120", "port", "metrics_port", "METRICS_PORT"),
    Flag("", "Metrics of FRR.", "9121", "port", "frr_metrics_port", "FRR_METRICS_PORT"),
    Flag("", "Probes of controller and speaker.", "17472", "port", "operand_liveness_port", "OPERAND_LIVENESS_PORT"),
    Flag("", "Metrics of FRR-K8s.", "9140", "port", "frrk8s_https_metrics_port", "FRRK8S_HTTPS_METRICS_PORT"),
    Flag("", "Metrics of its FRR.", "9141", "port", "frrk8s_frr_https_metrics_port", "FRRK8S_FRR_HTTPS_METRICS_PORT"),
    Flag("", "Unused.", "7572", "port", "frrk8s_metrics_port", "FRRK8S_METRICS_PORT"),
    Flag("", "Unused.", "7573", "port", "frrk8s_frr_metrics_port", "FRRK8S_FRR_METRICS_PORT"),
    Flag("", "Deploy PodMonitors and alerts.", field="deploy_pod_monitors", env="DEPLOY_PODMONITORS"),
    Flag("", "Deploy ServiceMonitors and alerts.", field="deploy_service_monitors", env="DEPLOY_SERVICEMONITORS"),
    Flag("", "No NetworkPolicy.", field="disable_network_policies", env="DISABLE_NETWORK_POLICIES"),
    Flag("", "Where FRR-K8s runs.", field="frrk8s_external_namespace", env="FRRK8S_EXTERNAL_NAMESPACE"),
    Flag(
        "",
        "FRR-K8s by OpenShift.",
        field="deploy_frrk8s_from_cno",
        env="DEPLOY_FRRK8S_FROM_CNO",
        inert=_FRR,
        settled=("false",),
    ),
    Flag("", "From this version on.", field="cno_min_frrk8s_version", env="CNO_MIN_FRRK8S_VERSION"),
    Flag("", "Handed on to the operands.", field="tls_cipher_suites", env="TLS_CIPHER_SUITES"),
    Flag("", "Handed on to the operands.", field="tls_curve_preferences", env="TLS_CURVE_PREFERENCES"),
    Flag("", "Handed on to the operands.", field="tls_min_version", env="TLS_MIN_VERSION"),
    Flag("", "Of the API server, beside 443 and 6443.", "0", "port", "api_server_port", "API_SERVER_PORT"),
)

_ONLY_TRUE: Final = (
    "deploy_pod_monitors",
    "deploy_service_monitors",
    "disable_network_policies",
    "deploy_frrk8s_from_cno",
)


def settings_of(resolved: Resolved, _environ: Mapping[str, str]) -> OperatorSettings:
    """The operator's settings.

    Raises:
        SettingsError: a value that is missing or can't be.
        TlsSettingsError: the same, of the variables `TLS_*`.
    """
    values = dict(resolved.values)
    log_level(values["log_level"], LEVELS)
    if not values["namespace"]:
        raise SettingsError("missing mandatory OPERATOR_NAMESPACE env variable")
    for name in ("controller_image", "speaker_image"):
        if not values[name]:
            raise SettingsError(f"{name.upper()} environment value not set")
    for name in _ONLY_TRUE:  # exactly "true", as upstream reads them
        values[name] = values[name] == "true"
    if values["deploy_pod_monitors"] and values["deploy_service_monitors"]:
        raise SettingsError("DEPLOY_PODMONITORS and DEPLOY_SERVICEMONITORS are mutually exclusive")
    _check_address(values["metrics_addr"])
    version = values["cno_min_frrk8s_version"]
    if version and not _VERSION.fullmatch(version):
        raise SettingsError(f"CNO_MIN_FRRK8S_VERSION={version!r}: want a version such as 0.0.25")
    _check_tls(values["tls_min_version"], values["tls_cipher_suites"], values["tls_curve_preferences"])
    return OperatorSettings(**values)


def _check_address(address: str) -> None:
    port = address.rpartition(":")[2]
    if address not in NO_METRICS and not (":" in address and port.isdecimal() and 0 < int(port) < 1 << 16):
        raise SettingsError(f"--metrics-addr={address!r}: want host:port, :port, or 0 for none")


def _check_tls(minimum: str, ciphers: str, curves: str) -> None:
    """What is handed on must be right; cipher suites may stand beside TLS 1.3, and are left out then."""
    TlsSettings.parse(minimum, "", curves)
    TlsSettings.parse("VersionTLS12", ciphers, "")


command = process_command(
    "operator", FLAGS, settings_of, "Turns a MetalLB resource into a controller, speakers and what they need."
)
