"""The flags of the three processes against their specification, row by row."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from metallb.cli import controller, operator, speaker
from metallb.cli.flags import Flag, SettingsError, resolve
from metallb.kube.tls import TlsSettings, TlsSettingsError

CERTS = "/tmp/k8s-webhook-server/serving-certs"

CONTROLLER = {  # spec/controller.md 1: flag, default, environment; that of TLS is ours, for the webhook server
    "port": ("9120", ""),
    "namespace": ("", "METALLB_NAMESPACE"),
    "ml-secret-name": ("", "METALLB_ML_SECRET_NAME"),
    "deployment": ("", "METALLB_DEPLOYMENT"),
    "pod-name": ("", "METALLB_POD_NAME"),
    "log-level": ("info", ""),
    "pprof-bind-address": ("", ""),
    "health-probe-port": ("17472", ""),
    "disable-cert-rotation": ("false", ""),
    "cert-dir": (CERTS, ""),
    "cert-service-name": ("metallb-webhook-service", ""),
    "webhook-secret": ("metallb-webhook-cert", ""),
    "webhook-mode": ("enabled", ""),
    "webhook-http2": ("false", ""),
    "lb-class": ("", ""),
    "tls-min-version": ("", "TLS_MIN_VERSION"),
    "tls-cipher-suites": ("", "TLS_CIPHER_SUITES"),
    "tls-curve-preferences": ("", "TLS_CURVE_PREFERENCES"),
    "metrics-cert-dir": ("", ""),
}

SPEAKER = {  # spec/speaker.md 1.1
    "namespace": ("", "METALLB_NAMESPACE"),
    "node-name": ("", "METALLB_NODE_NAME"),
    "pod-name": ("", "METALLB_POD_NAME"),
    "host": ("", "METALLB_HOST"),
    "ml-bindaddr": ("", "METALLB_ML_BIND_ADDR"),
    "ml-bindport": ("7946", "METALLB_ML_BIND_PORT"),
    "ml-labels": ("", "METALLB_ML_LABELS"),
    "ml-secret-key-path": ("", "METALLB_ML_SECRET_KEY_PATH"),
    "ml-wan-config": ("false", ""),
    "port": ("9120", ""),
    "health-probe-port": ("17472", ""),
    "pprof-bind-address": ("", ""),
    "log-level": ("info", ""),
    "lb-class": ("", ""),
    "ignore-exclude-lb": ("false", ""),
    "bgp-debounce-timeout": ("3000", "METALLB_BGP_DEBOUNCE_TIMEOUT"),
    "frrk8s-namespace": ("", "FRRK8S_NAMESPACE"),
    "frrk8s-secret-passthrough": ("false", ""),
    "tls-min-version": ("", ""),
    "tls-cipher-suites": ("", ""),
    "tls-curve-preferences": ("", ""),
    "metrics-cert-dir": ("", ""),
}

OPERATOR = {  # spec/operator.md 4.1; log-level is ours
    "metrics-addr": ("0", ""),
    "enable-leader-election": ("false", ""),
    "disable-cert-rotation": ("false", ""),
    "cert-dir": (CERTS, ""),
    "cert-service-name": ("metallb-operator-webhook-service", ""),
    "port": ("8080", ""),
    "webhook-http2": ("false", ""),
    "external-metallb-webhook-server": ("false", ""),
    "log-level": ("info", ""),
}

VARIABLES = {  # spec/operator.md 4.2
    "OPERATOR_NAMESPACE": "",
    "CONTROLLER_IMAGE": "",
    "SPEAKER_IMAGE": "",
    "FRR_IMAGE": "",
    "FRRK8S_IMAGE": "quay.io/metallb/frr-k8s:v0.0.25",
    "MEMBER_LIST_BIND_PORT": "7946",
    "METRICS_PORT": "9120",
    "FRR_METRICS_PORT": "9121",
    "OPERAND_LIVENESS_PORT": "17472",
    "FRRK8S_HTTPS_METRICS_PORT": "9140",
    "FRRK8S_FRR_HTTPS_METRICS_PORT": "9141",
    "FRRK8S_METRICS_PORT": "7572",
    "FRRK8S_FRR_METRICS_PORT": "7573",
    "DEPLOY_PODMONITORS": "",
    "DEPLOY_SERVICEMONITORS": "",
    "DISABLE_NETWORK_POLICIES": "",
    "FRRK8S_EXTERNAL_NAMESPACE": "",
    "DEPLOY_FRRK8S_FROM_CNO": "",
    "CNO_MIN_FRRK8S_VERSION": "",
    "TLS_CIPHER_SUITES": "",
    "TLS_CURVE_PREFERENCES": "",
    "TLS_MIN_VERSION": "",
}

ENVIRON = {
    "METALLB_NAMESPACE": "metallb-system",
    "METALLB_NODE_NAME": "worker-1",
    "OPERATOR_NAMESPACE": "metallb-system",
    "CONTROLLER_IMAGE": "c:1",
    "SPEAKER_IMAGE": "s:1",
}

PROCESSES: dict[str, Any] = {"controller": controller, "speaker": speaker, "operator": operator}


def settings(process: str, environ: dict[str, str] | None = None, /, **given: str) -> Any:
    module = PROCESSES[process]
    environ = {**ENVIRON, **(environ or {})}
    return module.settings_of(resolve(module.FLAGS, given, environ), environ)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [(controller.FLAGS, CONTROLLER), (speaker.FLAGS, SPEAKER), (operator.FLAGS, OPERATOR)],
    ids=["controller", "speaker", "operator"],
)
def test_flags_defaults_and_variables_are_those_of_the_specification(
    flags: tuple[Flag, ...], expected: dict[str, tuple[str, str]]
) -> None:
    assert {flag.name: (flag.default, flag.env) for flag in flags if flag.name} == expected


def test_the_operators_variables_are_those_of_the_specification() -> None:
    ours = {"API_SERVER_PORT": "0"}
    assert {flag.env: flag.default for flag in operator.FLAGS if not flag.name} == VARIABLES | ours


@pytest.mark.parametrize("process", PROCESSES)
def test_the_settings_own_defaults_are_the_flags(process: str) -> None:
    made = settings(process)
    for field in dataclasses.fields(made):
        if field.default is not dataclasses.MISSING and field.name != "frrk8s_namespace":
            assert getattr(made, field.name) == field.default, field.name


def test_a_flag_wins_over_its_variable_and_that_over_the_default() -> None:
    assert settings("speaker").ml_bind_port == 7946
    assert settings("speaker", {"METALLB_ML_BIND_PORT": "9122"}).ml_bind_port == 9122
    assert settings("speaker", {"METALLB_ML_BIND_PORT": "9122"}, ml_bind_port="1").ml_bind_port == 1
    assert settings("speaker", {"METALLB_ML_BIND_PORT": ""}).ml_bind_port == 7946


def test_namespaces_fall_back() -> None:
    assert settings("speaker").frrk8s_namespace == "metallb-system"
    assert settings("speaker", frrk8s_namespace="frr").frrk8s_namespace == "frr"


def test_tls_flags_are_checked_together() -> None:
    made = settings("controller", tls_min_version="VersionTLS12", tls_cipher_suites="TLS_RSA_WITH_AES_128_GCM_SHA256")
    assert made.tls == TlsSettings.parse("VersionTLS12", "TLS_RSA_WITH_AES_128_GCM_SHA256")


@pytest.mark.parametrize(
    ("process", "environ", "given", "says"),
    [
        ("controller", {"METALLB_NAMESPACE": ""}, {}, "--namespace"),
        ("controller", {}, {"log_level": "loud"}, "--log-level='loud'"),
        ("controller", {}, {"port": "x"}, "--port='x'"),
        ("controller", {}, {"port": "65536"}, "--port='65536'"),
        ("controller", {}, {"port": "-1"}, "--port='-1'"),
        ("controller", {}, {"webhook_mode": "on"}, "--webhook-mode='on'"),
        ("controller", {}, {"webhook_http2": "maybe"}, "--webhook-http2='maybe'"),
        ("controller", {"METALLB_BGP_TYPE": "quagga"}, {}, "METALLB_BGP_TYPE='quagga'"),
        ("controller", {"METALLB_BGP_TYPE": ""}, {}, "METALLB_BGP_TYPE=''"),
        ("speaker", {"METALLB_NODE_NAME": ""}, {}, "--node-name"),
        ("speaker", {"METALLB_ML_BIND_PORT": "x"}, {}, "METALLB_ML_BIND_PORT='x'"),
        ("speaker", {}, {"bgp_debounce_timeout_ms": "0"}, "--bgp-debounce-timeout=0"),
        ("speaker", {}, {"frrk8s_secret_passthrough": "true"}, "METALLB_BGP_TYPE=frr-k8s"),
        ("operator", {"OPERATOR_NAMESPACE": ""}, {}, "missing mandatory OPERATOR_NAMESPACE env variable"),
        ("operator", {"CONTROLLER_IMAGE": ""}, {}, "CONTROLLER_IMAGE environment value not set"),
        ("operator", {"SPEAKER_IMAGE": ""}, {}, "SPEAKER_IMAGE environment value not set"),
        ("operator", {"METRICS_PORT": "http"}, {}, "METRICS_PORT='http'"),
        ("operator", {"DEPLOY_PODMONITORS": "true", "DEPLOY_SERVICEMONITORS": "true"}, {}, "mutually exclusive"),
        ("operator", {"CNO_MIN_FRRK8S_VERSION": "new"}, {}, "CNO_MIN_FRRK8S_VERSION='new'"),
        ("operator", {}, {"metrics_addr": "8443"}, "--metrics-addr='8443'"),
        ("operator", {}, {"metrics_addr": ":http"}, "--metrics-addr=':http'"),
        ("operator", {}, {"metrics_addr": "[::]:65536"}, "--metrics-addr='[::]:65536'"),
    ],
)
def test_a_setting_that_can_not_be_is_named(
    process: str, environ: dict[str, str], given: dict[str, str], says: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(process, environ, **given)
    assert says in str(caught.value)


@pytest.mark.parametrize("process", ["controller", "speaker"])
def test_a_tls_setting_that_can_not_be_is_refused(process: str) -> None:
    with pytest.raises(TlsSettingsError):
        settings(process, tls_cipher_suites="TLS_RSA_WITH_AES_128_GCM_SHA256")
    with pytest.raises(TlsSettingsError):
        settings("operator", {"TLS_CURVE_PREFERENCES": "x"})


def test_only_exactly_true_enables_the_operators_switches() -> None:
    assert settings("operator", {"DISABLE_NETWORK_POLICIES": "true"}).disable_network_policies
    assert not settings("operator", {"DISABLE_NETWORK_POLICIES": "True"}).disable_network_policies


def test_a_flag_without_effect_says_so_unless_it_asks_for_what_is_anyway() -> None:
    def inert(**given: str) -> list[str]:
        return [name for name, _ in resolve(controller.FLAGS, given, ENVIRON).inert]

    assert inert() == []
    assert inert(webhook_http2="false") == []
    assert inert(webhook_http2="true", webhook_mode="onlywebhook", pprof_bind_address="127.0.0.1:6060") == [
        "--pprof-bind-address",
        "--webhook-http2",
    ]
    by_variable = resolve(speaker.FLAGS, {}, {**ENVIRON, "METALLB_HOST": "n1"}).inert
    assert [name for name, _ in by_variable] == ["METALLB_HOST"]
