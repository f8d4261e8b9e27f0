"""The lab's parts as frozen values: networks, nodes, clients, ranges, images.

The default ranges are the documentation and benchmarking ranges (RFC 5737, RFC 3849, RFC 2544): they mean no real host
anywhere, so output that shows them cannot be taken for the user's own network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import TypeAlias

from kubelab.objects import Json, Object

IPNetwork: TypeAlias = IPv4Network | IPv6Network

CONTROL_PLANE = "control-plane"
WORKER = "worker"
ROLE_LABEL = "node-role.kubernetes.io/"

Images: TypeAlias = Mapping[str, Mapping[str, Sequence[str]]]
"""Image reference -> command (empty: the entrypoint) -> argument list to run; `{python}` is the lab's interpreter."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """A range per address family; at least one of them is set."""

    ipv4: IPv4Network | None = None
    ipv6: IPv6Network | None = None

    def __iter__(self) -> Iterator[IPNetwork]:
        """The ranges that are set, IPv4 first."""
        return iter([each for each in (self.ipv4, self.ipv6) if each is not None])

    @property
    def families(self) -> frozenset[int]:
        """4, 6 or both."""
        return frozenset(each.version for each in self)

    def document(self) -> Object:
        """As written in a cluster file."""
        return {f"ipv{each.version}": str(each) for each in self}


@dataclass(frozen=True, slots=True)
class Network:
    """A layer-2 network: one bridge that everything on it is plugged into."""

    name: str
    ranges: Ranges

    def document(self) -> Object:
        """As written in a cluster file."""
        return {"name": self.name, **self.ranges.document()}


@dataclass(frozen=True, slots=True)
class Taint:
    """A taint of a node (core/v1 Taint)."""

    key: str
    effect: str
    value: str = ""

    def document(self) -> Object:
        """As written in a cluster file, and in a Node."""
        value = {"value": self.value} if self.value else {}
        return {"key": self.key, **value, "effect": self.effect}


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of the cluster. `networks` are its interfaces in order: the first is `eth0`."""

    name: str
    networks: tuple[str, ...]
    roles: tuple[str, ...] = (WORKER,)
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()

    @property
    def all_labels(self) -> dict[str, str]:
        """The Node object's labels: those of the file, its roles, and what every kubelet sets but the architecture."""
        return {
            "kubernetes.io/hostname": self.name,
            "kubernetes.io/os": "linux",
            **{ROLE_LABEL + role: "" for role in self.roles},
            **self.labels,
        }

    def document(self) -> Object:
        """As written in a cluster file."""
        return {
            "name": self.name,
            "networks": list(self.networks),
            "roles": list(self.roles),
            "labels": dict(self.labels),
            "taints": [taint.document() for taint in self.taints],
        }


@dataclass(frozen=True, slots=True)
class Client:
    """A machine outside the cluster that uses its services. `networks` are its interfaces in order."""

    name: str
    networks: tuple[str, ...]

    def document(self) -> Object:
        """As written in a cluster file."""
        return {"name": self.name, "networks": list(self.networks)}


@dataclass(frozen=True, slots=True)
class Bgp:
    """A routing daemon that takes BGP sessions from the nodes, and spreads traffic over equal paths (ECMP).

    `nodes_asn` is the nodes' autonomous system; the router's own one makes the sessions internal.
    """

    daemon: str
    asn: int
    nodes_asn: int
    maximum_paths: int = 16
    bfd: bool = False

    def document(self) -> Object:
        """As written in a cluster file."""
        return {
            "daemon": self.daemon,
            "asn": self.asn,
            "nodesASN": self.nodes_asn,
            "maximumPaths": self.maximum_paths,
            "bfd": self.bfd,
        }


@dataclass(frozen=True, slots=True)
class Router:
    """A machine that forwards between its networks. `networks` are its interfaces in order."""

    name: str
    networks: tuple[str, ...]
    bgp: Bgp | None = None

    def document(self) -> Object:
        """As written in a cluster file."""
        bgp = {} if self.bgp is None else {"bgp": self.bgp.document()}
        return {"name": self.name, "networks": list(self.networks), **bgp}


CONTROL_PLANE_TAINT = Taint(ROLE_LABEL + CONTROL_PLANE, "NoSchedule")
"""What keeps ordinary pods off a control-plane node unless the file says otherwise."""

DEFAULT_NETWORK = Network("lan", Ranges(IPv4Network("198.51.100.0/24"), IPv6Network("2001:db8:100::/64")))
DEFAULT_PODS = Ranges(IPv4Network("198.18.0.0/17"), IPv6Network("2001:db8:200::/56"))
DEFAULT_SERVICES = Ranges(IPv4Network("198.18.128.0/17"), IPv6Network("2001:db8:300::/112"))
DEFAULT_POOLS: tuple[IPNetwork, ...] = (IPv4Network("198.19.0.0/16"), IPv6Network("2001:db8:400::/64"))
DEFAULT_WORKERS = 3


@dataclass(frozen=True, slots=True)
class Cluster:
    """A whole lab as its file describes it; made by `kubelab.cluster.parse`, which checks every rule.

    `routers` join networks: each is the way out of the networks that it is on, for machines whose first network it is.
    `pools` are ranges that nodes and clients take to be on their first network, so that a test can hand out more
    addresses than that network itself has. With `olm` a test double of the Operator Lifecycle Manager runs, too: it is
    each image of a catalog or bundle, and the folder that has what would be in it. `layouts` are folders in the OCI
    image layout: pods of the images in them run from the images' own root file systems.
    """

    networks: tuple[Network, ...]
    nodes: tuple[Node, ...]
    clients: tuple[Client, ...]
    pods: Ranges = DEFAULT_PODS
    services: Ranges = DEFAULT_SERVICES
    pools: tuple[IPNetwork, ...] = DEFAULT_POOLS
    images: Images = field(default_factory=dict)
    routers: tuple[Router, ...] = ()
    olm: Mapping[str, str] | None = None
    layouts: tuple[str, ...] = ()

    @classmethod
    def default(cls) -> Cluster:
        """One control-plane node, three workers and one client on one network."""
        on = (DEFAULT_NETWORK.name,)
        control = Node("control-1", on, (CONTROL_PLANE,), taints=(CONTROL_PLANE_TAINT,))
        workers = tuple(Node(f"worker-{number}", on) for number in range(1, DEFAULT_WORKERS + 1))
        return cls((DEFAULT_NETWORK,), (control, *workers), (Client("client", on),))

    @property
    def control_node(self) -> Node:
        """The node the API server runs on."""
        return next(node for node in self.nodes if CONTROL_PLANE in node.roles)

    @property
    def lan(self) -> str:
        """The name of the network on which nodes reach each other: the first of each of them."""
        return next((node.networks[0] for node in self.nodes if node.networks), "")

    def network(self, name: str) -> Network:
        """The network of that name.

        Raises:
            KeyError: there is none.
        """
        for network in self.networks:
            if network.name == name:
                return network
        raise KeyError(name)

    def document(self) -> dict[str, Json]:
        """The cluster file that says all of this; parsing it gives an equal cluster."""
        return {
            "networks": [network.document() for network in self.networks],
            "nodes": [node.document() for node in self.nodes],
            "clients": [client.document() for client in self.clients],
            "pods": self.pods.document(),
            "services": self.services.document(),
            "pools": [str(pool) for pool in self.pools],
            "images": {
                reference: {command: list(argv) for command, argv in commands.items()}
                for reference, commands in self.images.items()
            },
            **({"routers": [router.document() for router in self.routers]} if self.routers else {}),
            **({} if self.olm is None else {"olm": {"images": dict(self.olm)}}),
            **({"layouts": list(self.layouts)} if self.layouts else {}),
        }
