"""A pod's own network: a namespace, a veth to the node's bridge, addresses, routes.

A pod has its address as /32 and /128 and knows only its gateway, so that all its traffic passes the node's IP layer:
two pods of one bridge would otherwise answer each other directly, past the translation of service addresses.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from kubelab.proxy.model import Address, Network

BRIDGE = "cni0"
# Redirects would teach pods the direct way that they must not take.
_POD_SETTINGS = (
    "ipv4/conf/all/accept_redirects 0",
    "ipv4/conf/default/accept_redirects 0",
    "ipv6/conf/all/accept_redirects 0",
    "ipv6/conf/default/accept_redirects 0",
    "ipv6/conf/default/accept_dad 0",
    "ipv6/conf/all/accept_ra 0",
    "ipv6/conf/default/accept_ra 0",
    "ipv4/ping_group_range 0 2147483647",
)
# With br_netfilter, translation would happen within the bridge, which sends nothing back where it came from.
_BRIDGE_SETTINGS = (
    "bridge/bridge-nf-call-iptables 0",
    "bridge/bridge-nf-call-ip6tables 0",
    "bridge/bridge-nf-call-arptables 0",
    f"ipv4/conf/{BRIDGE}/send_redirects 0",
    f"ipv4/conf/{BRIDGE}/rp_filter 0",
    f"ipv6/conf/{BRIDGE}/accept_dad 0",
)


class NetworkError(Exception):
    """A command failed; the message is the command and what it said."""


def bridge_commands(ranges: Sequence[Network], services: Sequence[Network], own: Sequence[Address]) -> list[str]:
    """For the node's namespace: the gateway addresses, and a way for service addresses to leave a program.

    The kernel looks for a route before the proxy's rules see a packet of the node itself. Where the packet goes in the
    end the rules decide.
    """
    commands = [f"link set dev {BRIDGE} up"]
    for network in ranges:
        nodad = " nodad" if network.version == 6 else ""  # noqa: PLR2004  # IP's own number
        commands.append(f"address replace {network[1]}/{network.prefixlen} dev {BRIDGE}{nodad}")
    for network in services:
        source = next((address for address in own if address.version == network.version), None)
        if source is not None:
            commands.append(f"route replace {network} dev {BRIDGE} src {source}")
    return commands


def link_name(uid: str) -> str:
    """The node's end of a pod's cable."""
    return f"veth{hashlib.sha256(uid.encode()).hexdigest()[:10]}"


def plug_commands(link: str, namespace: Path) -> list[str]:
    """For the node's namespace: a cable from its bridge into the pod's namespace."""
    return [
        f"link add name {link} type veth peer name eth0 netns {namespace}",
        f"link set dev {link} master {BRIDGE} up",
    ]


def pod_commands(addresses: Sequence[str], gateways: Sequence[Address]) -> list[str]:
    """For the pod's namespace: its addresses and the way out."""
    commands = ["link set dev lo up", "link set dev eth0 up"]
    for text in addresses:
        address = ipaddress.ip_address(text)
        nodad = " nodad" if address.version == 6 else ""  # noqa: PLR2004  # IP's own number
        commands.append(f"address add {address}/{address.max_prefixlen} dev eth0{nodad}")
        for gateway in gateways:
            if gateway.version == address.version:
                commands.append(f"route add {gateway} dev eth0 src {address}")
                commands.append(f"route add default via {gateway} dev eth0 src {address}")
    return commands


async def make_bridge(ranges: Sequence[Network], services: Sequence[Network], own: Sequence[Address]) -> None:
    """Make the node's bridge, or bring the one that is there to what it should be.

    Raises:
        NetworkError: a command failed.
    """
    with contextlib.suppress(NetworkError):  # it is there already: the next commands tell
        await _ip([f"link add name {BRIDGE} type bridge stp_state 0 forward_delay 0 mcast_snooping 0"])
    _write_settings(_BRIDGE_SETTINGS)
    await _ip(bridge_commands(ranges, services, own))


async def set_up(namespace: Path, uid: str, addresses: Sequence[str], gateways: Sequence[Address]) -> None:
    """Make a pod's network; `namespace` becomes the file that holds it. What an earlier attempt left is replaced.

    Raises:
        NetworkError: a command failed.
    """
    if _exists(namespace):
        await tear_down(namespace, uid)
    _touch(namespace)
    await _run(["unshare", f"--net={namespace}", "--", "true"])
    await _ip(plug_commands(link_name(uid), namespace))
    settings = "\n".join(f"echo '{value}' > /proc/sys/net/{name}" for name, value in map(_setting, _POD_SETTINGS))
    script = f"{{ {settings}\n}} 2>/dev/null; exec ip -batch -"
    commands = pod_commands(addresses, gateways)
    await _run(["nsenter", f"--net={namespace}", "--", "sh", "-c", script], "\n".join(commands))


async def tear_down(namespace: Path, uid: str) -> None:
    """Take a pod's network away; nothing if there is none."""
    with contextlib.suppress(NetworkError):
        await _run(["ip", "link", "delete", "dev", link_name(uid)])
    if _exists(namespace):
        with contextlib.suppress(NetworkError):
            await _run(["umount", "--lazy", str(namespace)])
        _unlink(namespace)


# Local files do not block for long: these stand in functions of their own so that no loop is thought to wait for them.
def _exists(path: Path) -> bool:
    return path.exists()


def _touch(path: Path) -> None:
    path.touch()


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)


def _setting(line: str) -> tuple[str, str]:
    name, _, value = line.partition(" ")
    return name, value


def _write_settings(lines: Sequence[str]) -> None:
    for name, value in map(_setting, lines):
        file = Path("/proc/sys/net", name)
        if file.exists():
            file.write_text(value, encoding="ascii")


async def _ip(commands: Sequence[str]) -> None:
    await _run(["ip", "-batch", "-"], "\n".join(commands))


async def _run(argv: Sequence[str], text: str = "") -> None:
    # Without a text there is no pipe: a program that ends at once would have closed it before anything is written.
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE if text else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate(f"{text}\n".encode() if text else None)
    if process.returncode:
        said = " ".join(errors.decode(errors="replace").split())
        raise NetworkError(f"{' '.join(argv)}: {said or f'exit code {process.returncode}'}")
