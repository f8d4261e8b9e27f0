"""FRR beside a speaker: containers, volumes and start-up files of the backend `frr`. Pure (spec/operator.md 3.3)."""

from __future__ import annotations

from typing import Final

from metallb.operator.installation import Installation
from metallb.operator.parts import (
    METRICS_CERTS,
    Object,
    certificate_mounts,
    empty_volumes,
    mounts,
    port,
    probe,
    tls_arguments,
)

STARTUP: Final = "frr-startup"
STARTUP_VOLUME: Final[Object] = {"name": STARTUP, "configMap": {"name": STARTUP, "defaultMode": 0o644}}

_FILES: Final = 100_000
_RUN: Final = frozenset({"bgpd", "bfdd"})
_DAEMONS: Final = (
    *("bgpd", "ospfd", "ospf6d", "ripd", "ripngd", "isisd", "pimd", "ldpd", "nhrpd", "eigrpd", "babeld"),
    *("sharpd", "pbrd", "bfdd", "fabricd", "vrrpd"),
)
_SIX: Final = frozenset({"ospf6d", "ripngd"})
_LIMITED: Final = frozenset({"bgpd", "staticd", "bfdd"})
_CAPABILITIES: Final = ("NET_ADMIN", "NET_RAW", "SYS_ADMIN", "NET_BIND_SERVICE")
_RESTRICTED: Final[Object] = {"readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False}


def startup_files(zebra: str = "") -> dict[str, str]:
    """What FRR finds in /etc/frr when it starts, until the first configuration is written.

    Args:
        zebra: further options of zebra.
    """
    return {
        "daemons": "\n".join(_daemons(zebra)) + "\n",
        "vtysh.conf": "service integrated-vtysh-config\n",
        "frr.conf": "frr version 8.0\nfrr defaults traditional\nhostname Router\nline vty\nlog stdout informational\n",
    }


def _daemons(zebra: str) -> list[str]:
    """BGP and BFD; no daemon is reached from outside, and bgpd does not listen: speakers call out."""
    switches = [f"{each}={'yes' if each in _RUN else 'no'}" for each in _DAEMONS]
    extra = f" {zebra}" if zebra else ""
    options = [f'zebra_options="-A 127.0.0.1{extra} -s 90000000 --limit-fds {_FILES}"']
    for each in (*_DAEMONS, "staticd"):
        silent = " -p 0" if each == "bgpd" else ""
        limit = f" --limit-fds {_FILES}" if each in _LIMITED else ""
        options.append(f'{each}_options="-A {"::1" if each in _SIX else "127.0.0.1"}{silent}{limit}"')
    return [*switches, "vtysh_enable=yes", *options]


def startup_config() -> Object:
    """The ConfigMap with them."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": STARTUP, "labels": {"component": "speaker"}},
        "data": startup_files(),
    }


def environment() -> list[Object]:
    """Where a process leaves FRR's configuration, and whom it tells."""
    return [
        {"name": "FRR_CONFIG_FILE", "value": "/etc/frr_reloader/frr.conf"},
        {"name": "FRR_RELOADER_PID_FILE", "value": "/etc/frr_reloader/reloader.pid"},
    ]


def add(pod: Object, installation: Installation) -> None:
    """Puts FRR into a speaker's pod."""
    pod["shareProcessNamespace"] = True
    pod["initContainers"] = [copy_start_files(installation), *_copy_tools(installation)]
    pod["volumes"] += [
        *empty_volumes("frr-sockets"),
        STARTUP_VOLUME,
        *empty_volumes("frr-conf", "reloader", "metrics", "frr-tmp", "frr-lib", "frr-log"),
    ]
    pod["containers"][0]["volumeMounts"] += mounts(reloader="/etc/frr_reloader")
    log = mounts(frr_log="/var/log/frr")
    pod["containers"] += [
        daemon(installation, installation.frr_metrics_port, delay_s=10),
        reloader(installation, *log) | {"securityContext": _RESTRICTED},
        exporter(installation, installation.frr_metrics_port)
        | {"securityContext": _RESTRICTED, "env": [{"name": "VTYSH_HISTFILE", "value": "/dev/null"}]},
    ]


def copy_start_files(installation: Installation) -> Object:
    """Start-up files, as FRR's own user has to own them."""
    return {
        "name": "cp-frr-files",
        "image": installation.frr_image,
        "command": ["/bin/sh", "-c", "cp -rLf /tmp/frr/* /etc/frr/"],
        "securityContext": {"runAsUser": 100, "runAsGroup": 101},
        "volumeMounts": mounts(frr_startup="/tmp/frr", frr_conf="/etc/frr"),  # noqa: S108  # a folder of the container
    }


def _copy_tools(installation: Installation) -> list[Object]:
    tools = (
        ("cp-reloader", "reloader", "/frr-reloader.sh", "/etc/frr_reloader"),
        ("cp-metrics", "metrics", "/frr-metrics", "/etc/frr_metrics"),
    )
    return [
        {
            "name": name,
            "image": installation.speaker_image,
            "command": ["/cp-tool", tool, f"{folder}{tool}"],
            "volumeMounts": mounts(**{volume: folder}),
        }
        for name, volume, tool, folder in tools
    ]


def daemon(installation: Installation, metrics_port: int, *, delay_s: int = 0) -> Object:
    """FRR itself."""
    request = {"path": "/livez", "port": metrics_port, "scheme": "HTTPS"}
    return {
        "name": "frr",
        "image": installation.frr_image,
        "command": ["/bin/sh", "-c", "/sbin/tini -- /usr/lib/frr/docker-start"],
        "env": [{"name": "TINI_SUBREAPER", "value": "true"}],
        "volumeMounts": mounts(
            frr_sockets="/var/run/frr",
            frr_conf="/etc/frr",
            frr_tmp="/var/tmp/frr",  # noqa: S108  # a folder of the container
            frr_lib="/var/lib/frr",
        ),
        "livenessProbe": probe(request, delay_s=delay_s),
        "startupProbe": probe(request, period_s=5, failures=30),
        "securityContext": {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"add": list(_CAPABILITIES)},
        },
    }


def reloader(installation: Installation, *more: Object) -> Object:
    """Takes over a configuration that was written."""
    return {
        "name": "reloader",
        "image": installation.frr_image,
        "command": ["/etc/frr_reloader/frr-reloader.sh"],
        "volumeMounts": [
            *mounts(frr_sockets="/var/run/frr", frr_conf="/etc/frr", reloader="/etc/frr_reloader"),
            *more,
        ],
    }


def exporter(installation: Installation, metrics_port: int) -> Object:
    """FRR's metrics."""
    keys = [f"--tls-cert-file={METRICS_CERTS}/tls.crt", f"--tls-private-key-file={METRICS_CERTS}/tls.key"]
    return {
        "name": "frr-metrics",
        "image": installation.frr_image,
        "command": ["/etc/frr_metrics/frr-metrics"],
        "args": [
            f"--metrics-port={metrics_port}",
            "--metrics-bind-address=0.0.0.0",
            *(keys if installation.serving_certificates else []),
            *tls_arguments(installation),
        ],
        "ports": [port("frrmetricshttps", metrics_port)],
        "volumeMounts": [
            *mounts(frr_sockets="/var/run/frr", frr_conf="/etc/frr", metrics="/etc/frr_metrics"),
            *certificate_mounts(installation),
        ],
    }
