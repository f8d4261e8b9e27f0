"""The cluster file, parsed: YAML in, a checked `Cluster` or all that is wrong with it out.

What a file leaves out is as in `Cluster.default()`. Field by field: docs/reference/lab.md.
"""

from __future__ import annotations

import dataclasses
from typing import TypeVar

import yaml

from kubelab.cluster import rules
from kubelab.cluster.errors import ClusterError
from kubelab.cluster.fields import Fields, Problems
from kubelab.cluster.model import (
    CONTROL_PLANE,
    CONTROL_PLANE_TAINT,
    DEFAULT_NETWORK,
    DEFAULT_PODS,
    DEFAULT_POOLS,
    DEFAULT_SERVICES,
    WORKER,
    Bgp,
    Client,
    Cluster,
    Images,
    Network,
    Node,
    Ranges,
    Router,
    Taint,
)
from kubelab.objects import Json

_Machine = TypeVar("_Machine", Node, Client)


def parse_text(text: str, source: str) -> Cluster:
    """The cluster that a file's text describes; `source` is the file's name for messages.

    Raises:
        ClusterError: it is no YAML, or breaks rules; all broken rules are listed.
    """
    problems = Problems()
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        problems.add("file", " ".join(str(error).split()), "must be YAML")
        raise ClusterError(source, problems.found) from error
    return parse({} if document is None else document, source)


def parse(document: Json, source: str) -> Cluster:
    """The cluster that a decoded file describes.

    Raises:
        ClusterError: it breaks rules; all broken rules are listed.
    """
    problems = Problems()
    top = Fields.of(document, "", problems)
    cluster = _cluster(top)
    top.refuse_unknown()
    if not problems.found:
        rules.check(cluster, problems)
    if problems.found:
        raise ClusterError(source, problems.found)
    return cluster


def _cluster(top: Fields) -> Cluster:
    """The whole file; parts that are not in it are the default's, on the file's first network."""
    default = Cluster.default()
    listed = tuple(map(_network, top.children("networks")))
    networks = listed if "networks" in top else (DEFAULT_NETWORK,)
    first = (networks[0].name,) if networks else ()
    families = networks[0].ranges.families if networks else frozenset[int]()
    nodes = tuple(_node(each, first) for each in top.children("nodes"))
    clients = tuple(_client(each, first) for each in top.children("clients"))
    pods, services = _ranges(top.child("pods")), _ranges(top.child("services"))
    pools = top.ranges("pools")
    return Cluster(
        networks,
        nodes if "nodes" in top else _moved(default.nodes, first),
        clients if "clients" in top else _moved(default.clients, first),
        pods=pods if "pods" in top else _only(DEFAULT_PODS, families),
        services=services if "services" in top else _only(DEFAULT_SERVICES, families),
        pools=pools if "pools" in top else tuple(each for each in DEFAULT_POOLS if each.version in families),
        images=_images(top.child("images")),
        routers=tuple(map(_router, top.children("routers"))),
        olm=_olm(top.child("olm")) if "olm" in top else None,
        layouts=top.texts("layouts", rules.FOLDER, ()),
    )


def _network(fields: Fields) -> Network:
    return Network(fields.text("name", rules.LABEL_NAME), _ranges(fields))


def _ranges(fields: Fields) -> Ranges:
    return Ranges(fields.ipv4_range("ipv4"), fields.ipv6_range("ipv6"))


def _node(fields: Fields, first: tuple[str, ...]) -> Node:
    roles = fields.texts("roles", rules.LABEL_NAME, (WORKER,))
    taints = tuple(map(_taint, fields.children("taints")))
    usual = (CONTROL_PLANE_TAINT,) if CONTROL_PLANE in roles else ()
    return Node(
        name=fields.text("name", rules.MACHINE_NAME),
        networks=fields.texts("networks", rules.LABEL_NAME, first),
        roles=roles,
        labels=_labels(fields.child("labels")),
        taints=taints if "taints" in fields else usual,
    )


def _client(fields: Fields, first: tuple[str, ...]) -> Client:
    return Client(fields.text("name", rules.LABEL_NAME), fields.texts("networks", rules.LABEL_NAME, first))


def _router(fields: Fields) -> Router:
    networks = fields.texts("networks", rules.LABEL_NAME, ())
    bgp = _bgp(fields.child("bgp")) if "bgp" in fields else None
    return Router(fields.text("name", rules.LABEL_NAME), networks, bgp)


def _bgp(fields: Fields) -> Bgp:
    return Bgp(
        daemon=fields.text("daemon", rules.DAEMON),
        asn=fields.number("asn", rules.ASN),
        nodes_asn=fields.number("nodesASN", rules.ASN),
        maximum_paths=fields.number("maximumPaths", rules.PATHS, default=16),
        bfd=fields.flag("bfd"),
    )


def _taint(fields: Fields) -> Taint:
    return Taint(
        key=fields.text("key", rules.LABEL_KEY),
        effect=fields.text("effect", rules.TAINT_EFFECT),
        value=fields.text("value", rules.LABEL_VALUE, default=""),
    )


def _labels(fields: Fields) -> dict[str, str]:
    found = {}
    for key in fields.values:
        if not rules.LABEL_KEY.holds(key):
            fields.problems.add(fields.at(key), key, f"as a label's key it {rules.LABEL_KEY.rule}")
        found[key] = fields.text(key, rules.LABEL_VALUE)
    return found


def _images(fields: Fields) -> Images:
    return {reference: _commands(fields.child(reference)) for reference in fields.values}


def _olm(fields: Fields) -> dict[str, str]:
    folders = fields.child("images")
    return {reference: folders.text(reference, rules.FOLDER) for reference in folders.values}


def _commands(fields: Fields) -> dict[str, tuple[str, ...]]:
    """The commands of one image; none of them has an empty argument list."""
    found = {}
    for command in fields.values:
        argv = fields.texts(command, rules.ARGUMENT, ())
        if not fields.values[command]:
            fields.problems.add(fields.at(command), fields.values[command], "must list a program and its arguments")
        found[command] = argv
    return found


def _moved(machines: tuple[_Machine, ...], networks: tuple[str, ...]) -> tuple[_Machine, ...]:
    """The same machines on other networks."""
    return tuple(dataclasses.replace(machine, networks=networks) for machine in machines)


def _only(ranges: Ranges, families: frozenset[int]) -> Ranges:
    """Those of the default ranges whose family the first network has."""
    return Ranges(
        ranges.ipv4 if ranges.ipv4 is not None and ranges.ipv4.version in families else None,
        ranges.ipv6 if ranges.ipv6 is not None and ranges.ipv6.version in families else None,
    )
