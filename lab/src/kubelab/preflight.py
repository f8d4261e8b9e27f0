"""What a lab needs of the machine, checked before anything is made: each lack is a line that says what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

PACKAGES: Mapping[str, str] = {
    "ip": "iproute2",
    "nft": "nftables",
    "bwrap": "bubblewrap",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "setpriv": "util-linux",
}
"""Commands that a lab runs -> the Debian package that brings each."""

_UNSHARE = ("unshare", "--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "--")


@dataclass(frozen=True, slots=True)
class Feature:
    """A part of the kernel: a command that works only with it, and the kernel options and module that bring it."""

    name: str
    command: tuple[str, ...]
    text: str
    brought_by: str


FEATURES = (
    Feature("bridges", ("ip", "-batch", "-"), "link add name br0 type bridge\n", "CONFIG_BRIDGE, module bridge"),
    Feature(
        "veth links", ("ip", "-batch", "-"), "link add name v0 type veth peer name v1\n", "CONFIG_VETH, module veth"
    ),
    Feature(
        "nftables",
        ("nft", "-f", "-"),
        "add table inet t\nadd chain inet t c { type filter hook input priority 0; }\n",
        "CONFIG_NF_TABLES and CONFIG_NF_TABLES_INET, module nf_tables",
    ),
    Feature(
        "address translation in nftables",
        ("nft", "-f", "-"),
        "add table ip n\nadd chain ip n c { type nat hook prerouting priority 0; }\n"
        "add rule ip n c tcp dport 1 dnat to 127.0.0.1:numgen random mod 2 map { 0 : 1, 1 : 2 }\n",
        "CONFIG_NFT_NAT and CONFIG_NFT_NUMGEN, modules nft_chain_nat and nft_numgen",
    ),
    Feature(
        "packet rules at links",
        ("nft", "-f", "-"),
        "add table netdev d\n"
        'add chain netdev d i { type filter hook ingress device "lo" priority 0; }\n'
        'add chain netdev d e { type filter hook egress device "lo" priority 0; }\n'
        "add rule netdev d i numgen random mod 2 < 1 counter drop\n",
        "CONFIG_NF_TABLES_NETDEV, CONFIG_NETFILTER_INGRESS and CONFIG_NETFILTER_EGRESS (Linux 5.16)",
    ),
)


class PreflightError(Exception):
    """The machine lacks something; `problems` holds a line for each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def check() -> None:
    """Make sure that a lab can run here.

    Raises:
        PreflightError: it cannot.
    """
    problems = missing_rights(os.geteuid())
    problems += missing_commands(shutil.which)
    if not problems:
        problems = missing_features(FEATURES)
    if problems:
        raise PreflightError(problems)


def missing_rights(user: int) -> list[str]:
    """What is wrong with the user id."""
    if user == 0:
        return []
    return ["a lab needs root, to make namespaces: run the command again with sudo"]


def missing_commands(find: Callable[[str], str | None]) -> list[str]:
    """What to say of commands that `find` does not find."""
    missing = [command for command in PACKAGES if find(command) is None]
    if not missing:
        return []
    packages = sorted({PACKAGES[command] for command in missing})
    return [f"missing on PATH: {', '.join(missing)}; run: apt-get install {' '.join(packages)}"]


def missing_features(features: Sequence[Feature]) -> list[str]:
    """What to say of kernel features that do not work, each tried in namespaces that are thrown away."""
    refused = _try(("true",), "")
    if refused is not None:
        return [f"root may not make namespaces here ({refused}): a container needs --privileged for a lab"]
    answers = [(feature, _try(feature.command, feature.text)) for feature in features]
    return [
        f"the kernel lacks {feature.name} ({said}): it needs {feature.brought_by}"
        for feature, said in answers
        if said is not None
    ]


def _try(command: Sequence[str], text: str) -> str | None:
    """Run a command in new namespaces; None if that works, else the first line of what it says."""
    answer = subprocess.run([*_UNSHARE, *command], input=text, capture_output=True, text=True, check=False)
    return None if answer.returncode == 0 else next(iter(answer.stderr.splitlines()), "failed")
