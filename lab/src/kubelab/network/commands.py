"""The lab's network as commands for `ip -batch` and kernel settings: what to do, not doing it. Pure.

`ip -batch` rather than a netlink library: the default lab's network takes six runs of 3 ms each, a tenth of what
importing such a library takes, and the commands can be read and tried by hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from kubelab.cluster import Cluster, Host, Interface, Plan
from kubelab.cluster.addresses import IPAddress

Settings = Mapping[str, str]
"""File below /proc/sys/net -> what to write there."""

WIRE_SETTINGS: Settings = {
    # The switch has no addresses and says nothing of its own.
    "ipv6/conf/all/disable_ipv6": "1",
    "ipv6/conf/default/disable_ipv6": "1",
}

CLIENT_SETTINGS: Settings = {
    # Addresses are usable the moment they are set, and come from nobody but the lab.
    "ipv6/conf/all/accept_dad": "0",
    "ipv6/conf/default/accept_dad": "0",
    "ipv6/conf/default/dad_transmits": "0",
    "ipv6/conf/all/accept_ra": "0",
    "ipv6/conf/default/accept_ra": "0",
    "ipv6/conf/all/disable_ipv6": "0",
    "ipv6/conf/default/disable_ipv6": "0",
    # Replies may come another way than requests left: that is what failing over looks like.
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
    # As container engines set it: ping without rights.
    "ipv4/ping_group_range": "0 2147483647",
}

NODE_SETTINGS: Settings = {
    **CLIENT_SETTINGS,
    "ipv4/ip_forward": "1",
    "ipv6/conf/all/forwarding": "1",
    "ipv6/conf/default/forwarding": "1",
}

ROUTER_SETTINGS: Settings = {
    **NODE_SETTINGS,
    # Equal paths are chosen by addresses and ports: each connection keeps its own.
    "ipv4/fib_multipath_hash_policy": "1",
    "ipv6/fib_multipath_hash_policy": "1",
    "ipv4/conf/all/send_redirects": "0",
    "ipv4/conf/default/send_redirects": "0",
}

BRIDGE_NETFILTER: Settings = {
    # Where the module br_netfilter is loaded, bridged packets would pass the IP rules of the wire.
    "bridge/bridge-nf-call-iptables": "0",
    "bridge/bridge-nf-call-ip6tables": "0",
    "bridge/bridge-nf-call-arptables": "0",
}


def bridge_commands(plan: Plan) -> list[str]:
    """For the wire: its bridges. They learn and forward, nothing else: no spanning tree, no multicast snooping."""
    commands = ["link set dev lo up"]
    for bridge in plan.bridges.values():
        commands.append(f"link add name {bridge} type bridge stp_state 0 forward_delay 0 mcast_snooping 0")
        commands.append(f"link set dev {bridge} up")
    return commands


def plug_commands(host: Host, namespace: Path) -> list[str]:
    """For the wire: a host's cables, one end in its namespace, the other a port of a bridge."""
    commands = []
    for interface in host.interfaces:
        far_end = f"name {interface.link} address {interface.mac} netns {namespace}"
        commands.append(f"link add name {interface.port} type veth peer {far_end}")
        commands.append(f"link set dev {interface.port} master {interface.bridge} up")
    return commands


def host_commands(host: Host, plan: Plan, cluster: Cluster) -> list[str]:
    """For a host's namespace: its addresses, and its routes: to pools, to the other nodes' pods, to all else."""
    commands = ["link set dev lo up"]
    for interface in host.interfaces:
        for address in interface.addresses:
            rest = "nodad" if address.version == 6 else f"broadcast {address.network.broadcast_address}"  # noqa: PLR2004  # IP's own number
            commands.append(f"address add {address} dev {interface.link} {rest}")
        commands.append(f"link set dev {interface.link} up")
    commands += _pool_routes(host, plan, cluster)
    if host.name in plan.nodes:
        commands += _pod_routes(host, plan)
    if host.name in plan.routers:
        return commands + _network_routes(host, plan, cluster)
    return commands + _ways_out(host, plan)


def _pool_routes(host: Host, plan: Plan, cluster: Cluster) -> list[str]:
    """Pools are on the nodes' network; who is not on it finds them by its way out, if it has one."""
    first = host.on(cluster.lan) if host.name in plan.routers else host.interfaces[0]
    if first is None or (first.network != cluster.lan and _gateway(host, plan) is not None):
        return []
    families = {address.version for address in first.addresses}
    return [f"route add {pool} dev {first.link}" for pool in cluster.pools if pool.version in families]


def _gateway(host: Host, plan: Plan) -> Interface | None:
    """The plug of the first router on a machine's first network."""
    found = (router.on(host.interfaces[0].network) for router in plan.routers.values())
    return next((each for each in found if each is not None), None)


def _ways_out(host: Host, plan: Plan) -> list[str]:
    """Default routes by the first router on a machine's first network."""
    gateway = _gateway(host, plan)
    families = {address.version for address in host.interfaces[0].addresses}
    return [
        f"route add default via {address.ip} dev {host.interfaces[0].link}"
        for address in (gateway.addresses if gateway is not None else ())
        if address.version in families
    ]


def _network_routes(host: Host, plan: Plan, cluster: Cluster) -> list[str]:
    """A router's routes to networks that it is not on, by a router that is, and with which it shares one."""
    commands = []
    for network in cluster.networks:
        if host.on(network.name) is None:
            next_hop = next(_next_hops(host, network.name, plan), {})
            ranges = [*network.ranges, *(cluster.pools if network.name == cluster.lan else ())]
            commands += [
                f"route add {each} via {next_hop[each.version]}" for each in ranges if each.version in next_hop
            ]
    return commands


def _next_hops(host: Host, network: str, plan: Plan) -> Iterator[dict[int, IPAddress]]:
    """The addresses, by family, of routers on a network, on networks that this router shares with them."""
    for other in plan.routers.values():
        if other.on(network) is None:
            continue
        for own in host.interfaces:
            shared = other.on(own.network)
            if shared is not None:
                yield {address.version: address.ip for address in shared.addresses}


def _pod_routes(host: Host, plan: Plan) -> list[str]:
    """Routes from one node to the pods of all others, by their addresses on the nodes' network."""
    commands = []
    for other in plan.nodes.values():
        for range_ in other.pod_ranges:
            gateway = other.interfaces[0].address(range_.version)
            if other is not host and gateway is not None:
                commands.append(f"route add {range_} via {gateway} dev {host.interfaces[0].link}")
    return commands
