"""What goes on in a running lab: nodes, pods, services of type LoadBalancer and who answers for their addresses."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence

from kubelab import report
from kubelab.apiclient import ApiClient, ApiFailure
from kubelab.cluster import Host
from kubelab.faults import FaultError
from kubelab.lab import CommandError, Lab
from kubelab.objects import Object
from kubelab.places import PlaceError
from kubelab.resource import Resource

_NODES = Resource("", "v1", "nodes", namespaced=False)
_PODS = Resource("", "v1", "pods", namespaced=True)
_SERVICES = Resource("", "v1", "services", namespaced=True)


async def look(lab: Lab) -> Object:
    """The cluster as its API server tells it and a client's packets find it; `error` where one can't be asked.

    Raises:
        LabNotFoundError: the lab is gone.
    """
    document: Object = {"nodes": [], "pods": [], "services": []}
    try:
        async with ApiClient.from_kubeconfig(lab.kubeconfig) as client:
            nodes, pods, services = [(await client.list(each)).items for each in (_NODES, _PODS, _SERVICES)]
    except ApiFailure as failure:
        document["error"] = f"the API server does not answer: {failure}"
    else:
        balanced = [report.balanced(each) for each in services if each["spec"].get("type") == "LoadBalancer"]
        wanted = [entry["address"] for each in balanced for entry in each["addresses"]]
        answering = await _answering(lab, wanted)
        for entry in (entry for each in balanced for entry in each["addresses"]):
            entry["answeredBy"] = answering.get(entry["address"], [])
        document |= {
            "nodes": [report.node(each) for each in nodes],
            "pods": [report.pod(each) for each in pods],
            "services": balanced,
        }
    try:
        document["faults"] = [report.fault_document(each) for each in lab.faults()]
    except FaultError as error:
        document["error"] = str(error)
    return document


async def _answering(lab: Lab, wanted: Sequence[str]) -> Mapping[str, list[str]]:
    """Which machines answer for addresses, by name, as the first client's first network sees it."""
    client = next(iter(lab.plan.clients.values()), None)
    if client is None or not wanted:
        return {}
    sources = map(str, client.addresses)
    argv = [sys.executable, "-m", "kubelab.answerers", "eth0", *sources, "--", *wanted]
    try:
        found: dict[str, list[str]] = json.loads((await lab.run(client.name, argv)).stdout)
        names = await _machines(lab, [mac for macs in found.values() for mac in macs])
    except (CommandError, PlaceError, ValueError):
        return {}
    return {address: [names.get(mac, mac) for mac in macs] for address, macs in found.items()}


async def _machines(lab: Lab, macs: Iterable[str]) -> dict[str, str]:
    """The machines' names by their Ethernet addresses; asked only for as long as some are not known."""
    missing = set(macs)
    names: dict[str, str] = {}
    for host in lab.plan.hosts:
        if not missing - names.keys():
            break
        names |= await _addresses(lab, host)
    return names


async def _addresses(lab: Lab, host: Host) -> dict[str, str]:
    kinds = {"node/": lab.plan.nodes, "router/": lab.plan.routers}
    where = next((kind for kind, hosts in kinds.items() if host.name in hosts), "") + host.name
    shown = await lab.run(where, ["ip", "-json", "link", "show"])
    return {link["address"]: host.name for link in json.loads(shown.stdout) if "address" in link}
