"""GET of a pod's log: asked of the node agent that runs it."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from kubelab.apiserver.builtin import fields
from kubelab.apiserver.errors import ApiError, bad_request
from kubelab.apiserver.handlers.reading import existing
from kubelab.apiserver.request import Response
from kubelab.apiserver.state import Call
from kubelab.objects import GroupResource, Object

_NODES: Final = GroupResource("", "nodes")
_PASSED_ON: Final = ("follow", "previous", "sinceSeconds", "sinceTime", "timestamps", "tailLines", "limitBytes")
_ADDRESS_TYPES: Final = ("Hostname", "InternalDNS", "InternalIP", "ExternalDNS", "ExternalIP")
_KUBELET_PORT: Final = 10250


async def log(call: Call) -> Response:
    """The text that a container has written.

    Raises:
        ApiError: 400 where no or no known container is meant, 404 without pod or node, 500 where the agent can't be
            reached.
    """
    pod = call.shown(existing(call))
    container = _container(call, pod)
    node_name = fields.entries(pod.get("spec")).get("nodeName")
    if not node_name:
        return Response(200, [("Content-Type", "text/plain")], b"")
    node = call.state.storage.get(_NODES, "", node_name)
    if node is None:
        raise ApiError(500, "InternalError", f'Internal error occurred: nodes "{node_name}" not found')
    address, port = _address(node)
    if call.state.kubelet is None:
        raise ApiError(500, "", "this server does not reach node agents")
    query = urlencode([pair for pair in call.request.query.pairs if pair[0] in _PASSED_ON])
    path = f"/containerLogs/{call.namespace}/{call.name}/{container}"
    return await call.state.kubelet.logs(address, port, path, query)


def _container(call: Call, pod: Object) -> str:
    spec = pod["spec"]
    plain = [one["name"] for one in fields.items(spec.get("containers"))]
    known = plain + [
        one["name"] for part in ("initContainers", "ephemeralContainers") for one in fields.items(spec.get(part))
    ]
    asked = call.request.query.get("container")
    if asked:
        if asked not in known:
            raise bad_request(f"container {asked} is not valid for pod {call.name}")
        return asked
    if len(known) == 1:
        return str(known[0])
    choices = " ".join(plain)
    raise bad_request(f"a container name must be specified for pod {call.name}, choose one of: [{choices}]")


def _address(node: Object) -> tuple[str, int]:
    status = fields.entries(node.get("status"))
    addresses = {one["type"]: one["address"] for one in reversed(fields.items(status.get("addresses")))}
    endpoint = fields.entries(fields.entries(status.get("daemonEndpoints")).get("kubeletEndpoint"))
    # Host names of the lab are known to nobody: addresses go first.
    for kind in ("InternalIP", "ExternalIP"):
        if kind in addresses:
            return addresses[kind], endpoint.get("Port") or _KUBELET_PORT
    known = " ".join(f"{{{kind} {addresses[kind]}}}" for kind in _ADDRESS_TYPES if kind in addresses)
    raise ApiError(500, "", f"no preferred addresses found; known addresses: [{known}]")
