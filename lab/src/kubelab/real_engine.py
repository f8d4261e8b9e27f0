"""The engine of real binaries: etcd, kube-apiserver, kube-controller-manager and kube-scheduler, 1.27 or newer.

They come from the folder that `KUBEBUILDER_ASSETS` names, and run in the control node's namespace. Node agents, proxies
and network are the lab's own, as with the embedded engine.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization

from kubelab.engines import API_PORT, Commands, Component, EmbeddedEngine, Engine, Site
from kubelab.objects import Json, Object

VARIABLE: Final = "KUBEBUILDER_ASSETS"
"""Names the folder of the binaries; set, labs run on them."""
BINARIES: Final = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
ISSUER: Final = "https://kubernetes.default.svc"
_ETCD, _ETCD_PEERS = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
_CONTROLLERS_PORT, _SCHEDULER_PORT = 10257, 10259
_SILENCE: Final = ("--node-monitor-period=500ms", "--node-monitor-grace-period=2s")
"""As quick as the embedded engine: a node is lost two seconds after its last lease."""
_AUDIT_POLICY: Final[Object] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*"]},
        {"level": "Metadata"},
    ],
}


class AssetsError(ValueError):
    """The folder of the binaries lacks some."""


def chosen(environment: Mapping[str, str]) -> str:
    """The folder that an environment asks for; empty for the embedded engine.

    Raises:
        AssetsError: it does not have all binaries.
    """
    folder = environment.get(VARIABLE, "")
    missing = [name for name in BINARIES if folder and not os.access(Path(folder) / name, os.X_OK)]
    if missing:
        raise AssetsError(
            f"{VARIABLE}: {folder} has no executable {', '.join(missing)}; unset it for the embedded engine"
        )
    return str(Path(folder).resolve()) if folder else ""


def engine(assets: str, commands: Commands) -> Engine:
    """The engine of a folder of binaries, or the embedded one if there is none."""
    embedded = EmbeddedEngine(commands)
    return RealEngine(Path(assets), embedded) if assets else embedded


@dataclass(frozen=True, slots=True)
class RealEngine:
    """Real binaries in place of the embedded engine's API server and controllers."""

    assets: Path
    embedded: EmbeddedEngine = field(default_factory=EmbeddedEngine)

    def prepare(self, site: Site) -> None:
        """What the embedded engine needs (it names nothing of its own in it), and how to start each binary."""
        self.embedded.prepare(site)
        key = serialization.load_pem_private_key((site.layout.pki / "service-account.key").read_bytes(), None)
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        (site.layout.pki / "service-account.pub").write_bytes(public)
        _write(site.path("audit-policy.json"), _AUDIT_POLICY)
        for name, document in self._started(site).items():
            _write(site.path(f"{name}.json"), document)

    def stages(self, site: Site) -> Sequence[Sequence[Component]]:
        """Etcd; the API server; then all others, and a relay by which the host reaches the API."""
        control = site.cluster.control_node.name
        (_, *routers), (_, *others) = self.embedded.stages(site)
        etcd, apiserver, controllers, scheduler = (
            self._component(site, name, "kubelab.foreign", control)
            for name in ("etcd", "apiserver", "controllers", "scheduler")
        )
        relay = self._component(site, "relay", "kubelab.relay", control, (site.listen_fd,))
        return [[etcd], [apiserver, *routers], [relay, controllers, scheduler, *others]]

    def _component(self, site: Site, name: str, module: str, machine: str, passed: tuple[int, ...] = ()) -> Component:
        argv = (site.python, "-P", "-m", module, str(site.path(f"{name}.json")))
        return Component(name, argv, machine, passed)

    def _started(self, site: Site) -> dict[str, Object]:
        """Configuration files by component."""
        local = f"https://127.0.0.1:{API_PORT}"
        administrator = {
            "cert": str(site.layout.pki / "apiserver-kubelet-client.crt"),
            "key": str(site.layout.pki / "apiserver-kubelet-client.key"),
        }
        objects = [[f"/apis/rbac.authorization.k8s.io/v1/{each.pop('resource')}", each] for each in _bindings()]
        return {
            "etcd": {"argv": self._etcd(site), "health": f"{_ETCD}/health"},
            "apiserver": {
                "argv": self._apiserver(site),
                "health": f"{local}/readyz",
                **administrator,
                "objects": objects,
            },
            "controllers": {
                "argv": self._controllers(site),
                "health": f"https://127.0.0.1:{_CONTROLLERS_PORT}/healthz",
            },
            "scheduler": {"argv": self._scheduler(site), "health": f"https://127.0.0.1:{_SCHEDULER_PORT}/healthz"},
            "relay": {"listen_fd": site.listen_fd, "host": "127.0.0.1", "port": API_PORT},
        }

    def _etcd(self, site: Site) -> list[str]:
        return [
            str(self.assets / "etcd"),
            f"--data-dir={site.layout.directory / 'etcd'}",
            "--unsafe-no-fsync",
            f"--listen-client-urls={_ETCD}",
            f"--advertise-client-urls={_ETCD}",
            f"--listen-peer-urls={_ETCD_PEERS}",
        ]

    def _apiserver(self, site: Site) -> list[str]:
        pki, host = site.layout.pki, site.plan.nodes[site.cluster.control_node.name]
        both = any(address.version == 6 for address in host.addresses)  # noqa: PLR2004  # IP's own number
        return [
            str(self.assets / "kube-apiserver"),
            f"--etcd-servers={_ETCD}",
            f"--bind-address={'::' if both else '0.0.0.0'}",  # noqa: S104  # of the node's own namespace
            f"--secure-port={API_PORT}",
            f"--advertise-address={host.addresses[0]}",
            f"--service-cluster-ip-range={','.join(map(str, site.cluster.services))}",
            f"--client-ca-file={pki / 'ca.crt'}",
            f"--tls-cert-file={pki / 'apiserver.crt'}",
            f"--tls-private-key-file={pki / 'apiserver.key'}",
            f"--kubelet-certificate-authority={pki / 'ca.crt'}",
            f"--kubelet-client-certificate={pki / 'apiserver-kubelet-client.crt'}",
            f"--kubelet-client-key={pki / 'apiserver-kubelet-client.key'}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--service-account-issuer={ISSUER}",
            f"--service-account-key-file={pki / 'service-account.pub'}",
            f"--service-account-signing-key-file={pki / 'service-account.key'}",
            "--authorization-mode=RBAC",
            "--allow-privileged=true",
            f"--audit-policy-file={site.path('audit-policy.json')}",
            f"--audit-log-path={site.layout.log('audit')}",
            f"--cert-dir={site.layout.temporary}",
        ]

    def _controllers(self, site: Site) -> list[str]:
        pki = site.layout.pki
        return [
            str(self.assets / "kube-controller-manager"),
            f"--kubeconfig={site.path('controllers.kubeconfig')}",
            f"--root-ca-file={pki / 'ca.crt'}",
            f"--service-account-private-key-file={pki / 'service-account.key'}",
            "--leader-elect=false",
            *_SILENCE,
            "--bind-address=127.0.0.1",
            f"--secure-port={_CONTROLLERS_PORT}",
            f"--cert-dir={site.layout.temporary}",
        ]

    def _scheduler(self, site: Site) -> list[str]:
        return [
            str(self.assets / "kube-scheduler"),
            f"--kubeconfig={site.path('controllers.kubeconfig')}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            f"--secure-port={_SCHEDULER_PORT}",
            f"--cert-dir={site.layout.temporary}",
        ]


def _bindings() -> list[Object]:
    """What agents may do: nobody else grants it to nodes where no Node authorizer is asked."""
    group = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:nodes"}
    return [
        {
            "resource": "clusterrolebindings",
            "metadata": {"name": f"kubelab:{role.removeprefix('system:')}"},
            "roleRef": {"apiGroup": group["apiGroup"], "kind": "ClusterRole", "name": role},
            "subjects": [group],
        }
        for role in ("system:node", "system:node-proxier")
    ]


def _write(path: Path, document: Json) -> None:
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
