"""What a lab's control plane consists of, behind one interface: files to write first, commands to start in order."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Protocol

from kubelab import pki
from kubelab.cluster import Cluster, Plan
from kubelab.cluster.addresses import IPAddress
from kubelab.cluster.model import Bgp, Images, Node, Router
from kubelab.objects import Json, Object
from kubelab.state import Layout

API_PORT = 6443
"""The API server's port inside the lab."""
PYTHON = "{python}"
"""Stands for the lab's own interpreter in image maps and commands."""
IMAGES_GROUP = "kubelab.images"
"""Entry points that bring image maps."""


@dataclass(frozen=True, slots=True)
class Component:
    """A process that init starts and watches.

    It says that it is ready by the line `ready` on its standard output. `machine` names the node it runs on; `pass_fds`
    are descriptors that it inherits by their numbers.
    """

    name: str
    argv: tuple[str, ...]
    machine: str
    pass_fds: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Site:
    """The lab that an engine is to serve.

    `listen_fd` is a socket that listens on the host's loopback at `server`; `now` is in seconds since the epoch and
    `draw(n)` gives a random number below n.
    """

    layout: Layout
    cluster: Cluster
    plan: Plan
    listen_fd: int
    server: str
    python: str
    now: float
    draw: Callable[[int], int]

    def path(self, name: str) -> Path:
        """A configuration file of this lab."""
        return self.layout.config / name


class Engine(Protocol):
    """A way to run a control plane and its nodes."""

    def prepare(self, site: Site) -> None:
        """Write what the components need, and the administrator's kubeconfig.

        Raises:
            OSError: the lab's folder cannot be written.
        """

    def stages(self, site: Site) -> Sequence[Sequence[Component]]:
        """The components: all of a stage start together, once the stage before is ready. They stop backwards."""


@dataclass(frozen=True, slots=True)
class Commands:
    """How to start each kind of component; the path of its configuration file is appended."""

    apiserver: tuple[str, ...] = (PYTHON, "-P", "-m", "kubelab.apiserver")
    controllers: tuple[str, ...] = (PYTHON, "-P", "-m", "kubelab.controllers")
    agent: tuple[str, ...] = (PYTHON, "-P", "-m", "kubelab.kubelet")
    olm: tuple[str, ...] = (PYTHON, "-P", "-m", "kubelab.olm")
    router: tuple[str, ...] = (PYTHON, "-P", "-m", "kubelab.router")


@dataclass(frozen=True, slots=True)
class EmbeddedEngine:
    """The lab's own API server and controllers."""

    commands: Commands = field(default_factory=Commands)

    def prepare(self, site: Site) -> None:
        """Certificates, kubeconfigs and configuration files for every component."""
        authority = pki.Authority(site.now, site.draw)
        _prepare_control_plane(site, authority)
        if site.cluster.olm is not None:
            _prepare_olm(site, authority, site.cluster.olm)
        for router in site.cluster.routers:
            if router.bgp is not None:
                _prepare_router(site, router, router.bgp)
        images = merged_images(site.cluster.images, installed_images(), site.python)
        for node in site.cluster.nodes:
            _prepare_agent(site, authority, node, images)

    def stages(self, site: Site) -> list[list[Component]]:
        """API server and routers; then the controllers, an agent for each node, and OLM's double if there is one."""
        control = site.cluster.control_node.name
        apiserver = Component(
            "apiserver", _command(site, self.commands.apiserver, "apiserver.json"), control, (site.listen_fd,)
        )
        controllers = Component("controllers", _command(site, self.commands.controllers, "controllers.json"), control)
        agents = [
            Component(f"agent/{node.name}", _command(site, self.commands.agent, f"agent-{node.name}.json"), node.name)
            for node in site.cluster.nodes
        ]
        olm = (
            [Component("olm", _command(site, self.commands.olm, "olm.json"), control)]
            if site.cluster.olm is not None
            else []
        )
        routers = [
            Component(
                f"router/{each.name}", _command(site, self.commands.router, f"router-{each.name}.json"), each.name
            )
            for each in site.cluster.routers
            if each.bgp is not None
        ]
        return [[apiserver, *routers], [controllers, *agents, *olm]]


def installed_images() -> list[Images]:
    """The image maps that installed packages offer by entry points of the group `kubelab.images`.

    Raises:
        ImportError: an entry point names something that is not there.
    """
    return [entry.load() for entry in metadata.entry_points(group=IMAGES_GROUP)]


def merged_images(first: Images, others: Iterable[Images], python: str) -> dict[str, dict[str, list[str]]]:
    """One image map of several, earlier ones winning for an image, with the interpreter's path filled in."""
    merged: dict[str, dict[str, list[str]]] = {}
    for images in (first, *others):
        for reference, commands in images.items():
            merged.setdefault(reference, {command: _filled(argv, python) for command, argv in commands.items()})
    return merged


def _prepare_control_plane(site: Site, authority: pki.Authority) -> None:
    layout, host = site.layout, site.plan.nodes[site.cluster.control_node.name]
    advertised = host.addresses[0]
    ca = layout.pki / "ca.crt"
    ca.write_bytes(authority.certificate)
    pki.write_secret(layout.pki / "service-account.key", pki.service_account_key())
    names = pki.api_server_names((host.name, *host.addresses, *site.plan.kubernetes_service))
    serving = _write(site, authority, pki.Subject("kube-apiserver", names=names), "apiserver")
    to_kubelets = pki.Subject("kube-apiserver-kubelet-client", (pki.ADMINISTRATORS,))
    kubelet_client = _write(site, authority, to_kubelets, "apiserver-kubelet-client")
    _write_json(
        site.path("apiserver.json"),
        {
            "listen_fds": [site.listen_fd],
            "listen": [_endpoint(address) for address in host.addresses],
            "certificates": {
                "ca": str(ca),
                "cert": str(serving.cert),
                "key": str(serving.key),
                "service_account_key": str(layout.pki / "service-account.key"),
                "kubelet_client_cert": str(kubelet_client.cert),
                "kubelet_client_key": str(kubelet_client.key),
            },
            "service_cidrs": _texts(site.cluster.services),
            "advertise": str(advertised),
            "advertise_port": API_PORT,
            "journal": str(layout.directory / "apiserver.journal"),
            "audit_log": str(layout.log("audit")),
        },
    )
    admin = authority.issue(pki.Subject("kubernetes-admin", (pki.ADMINISTRATORS,)))
    _write_kubeconfig(site, layout.kubeconfig, authority, admin, "kubernetes-admin", site.server)
    controllers = authority.issue(pki.Subject("system:kube-controller-manager", (pki.ADMINISTRATORS,)))
    kubeconfig = site.path("controllers.kubeconfig")
    _write_kubeconfig(site, kubeconfig, authority, controllers, "system:kube-controller-manager")
    _write_json(site.path("controllers.json"), {"kubeconfig": str(kubeconfig), "pod_cidrs": _texts(site.cluster.pods)})


def _prepare_olm(site: Site, authority: pki.Authority, images: Mapping[str, str]) -> None:
    user = "system:serviceaccount:olm:olm-operator-serviceaccount"
    kubeconfig = site.path("olm.kubeconfig")
    _write_kubeconfig(site, kubeconfig, authority, authority.issue(pki.Subject(user, (pki.ADMINISTRATORS,))), user)
    _write_json(site.path("olm.json"), {"kubeconfig": str(kubeconfig), "images": dict(images)})


def _prepare_router(site: Site, router: Router, bgp: Bgp) -> None:
    lan = site.plan.routers[router.name].on(site.cluster.lan)
    assert lan is not None, "a rule of the cluster file"
    document = bgp.document() | {
        "name": router.name,
        "addresses": [str(each.ip) for each in lan.addresses],
        "ranges": [str(each.network) for each in lan.addresses],
    }
    _write_json(site.path(f"router-{router.name}.json"), document)


def _prepare_agent(site: Site, authority: pki.Authority, node: Node, images: Mapping[str, Json]) -> None:
    host, user = site.plan.nodes[node.name], f"system:node:{node.name}"
    kubeconfig = site.path(f"agent-{node.name}.kubeconfig")
    client = authority.issue(pki.Subject(user, ("system:nodes",)))
    _write_kubeconfig(site, kubeconfig, authority, client, user)
    serving = _write(
        site, authority, pki.Subject(user, ("system:nodes",), (node.name, *host.addresses)), f"kubelet-{node.name}"
    )
    control = site.plan.nodes[site.cluster.control_node.name]
    _write_json(
        site.path(f"agent-{node.name}.json"),
        {
            "node": node.name,
            "kubeconfig": str(kubeconfig),
            "addresses": _texts(host.addresses),
            "labels": {**node.all_labels, "kubernetes.io/arch": architecture(platform.machine())},
            "taints": [taint.document() for taint in node.taints],
            "pod_cidrs": _texts(host.pod_ranges),
            "state_dir": str(site.layout.directory),
            "images": images,
            "layouts": list(site.cluster.layouts),
            "server_cert": {"cert": str(serving.cert), "key": str(serving.key)},
            "client_ca": str(site.layout.pki / "ca.crt"),
            "api_endpoints": [_endpoint(address) for address in control.addresses],
            "service_cidrs": _texts(site.cluster.services),
            "cluster_cidrs": _texts(site.cluster.pods),
        },
    )


def architecture(machine: str) -> str:
    """The label kubernetes.io/arch (Go's GOARCH) of a `uname -m`."""
    return {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}.get(machine, machine)


def _write(site: Site, authority: pki.Authority, subject: pki.Subject, name: str) -> pki.Files:
    return pki.write_identity(authority.issue(subject), site.layout.pki, name)


def _write_kubeconfig(
    site: Site, path: Path, authority: pki.Authority, identity: pki.Identity, user: str, server: str = ""
) -> None:
    """A kubeconfig that reaches the API server at `server`, or inside the lab if that is empty."""
    inside = f"https://{_endpoint(site.plan.nodes[site.cluster.control_node.name].addresses[0])}"
    content = pki.kubeconfig(
        server or inside, authority.certificate, identity, cluster=f"kubelab-{site.layout.name}", user=user
    )
    pki.write_secret(path, content)


def _write_json(path: Path, document: Object) -> None:
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _command(site: Site, command: Sequence[str], config: str) -> tuple[str, ...]:
    return (*_filled(command, site.python), str(site.path(config)))


def _filled(argv: Sequence[str], python: str) -> list[str]:
    return [word.replace(PYTHON, python) for word in argv]


def _endpoint(address: IPAddress) -> str:
    """ADDRESS:PORT of the API server, as in a URL."""
    return f"[{address}]:{API_PORT}" if address.version == 6 else f"{address}:{API_PORT}"  # noqa: PLR2004  # IP's own number


def _texts(values: Iterable[object]) -> list[str]:
    return [str(value) for value in values]
