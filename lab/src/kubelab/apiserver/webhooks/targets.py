"""Where a webhook is: its address as messages tell it, and the one that is dialled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from kubelab.apiserver.resources import Reader
from kubelab.apiserver.webhooks.failures import CallError, of_post
from kubelab.apiserver.webhooks.hooks import ClientConfig, ServiceReference
from kubelab.objects import GroupResource, Object

SERVICES: Final = GroupResource("", "services")
_PORT: Final = 443
_ROUTED: Final = frozenset({"ClusterIP", "NodePort", "LoadBalancer"})


@dataclass(frozen=True, slots=True)
class Target:
    """One webhook's place. `host` and `port` are dialled, `server_name` is whom the certificate must name."""

    url: str
    host: str
    port: int
    server_name: str
    path: str
    ca: str

    @property
    def authority(self) -> str:
        """The Host header."""
        return urlsplit(self.url).netloc


def target(client: ClientConfig, timeout_s: int, reader: Reader) -> Target:
    """Where a webhook is now: Services are looked up at each call.

    Raises:
        CallError: its Service does not exist or has no such port.
    """
    if client.service is not None:
        return _of_service(client.service, client.ca, timeout_s, reader)
    parts = urlsplit(client.url)
    path = f"{parts.path or '/'}?timeout={timeout_s}s"
    url = f"{parts.scheme}://{parts.netloc}{parts.path}?timeout={timeout_s}s"
    host = parts.hostname or ""
    return Target(url, host, parts.port or _PORT, host, path, client.ca)


def _of_service(reference: ServiceReference, ca: str, timeout_s: int, reader: Reader) -> Target:
    name = f"{reference.name}.{reference.namespace}.svc"
    where = reference.path or "/"
    path = f"{where}?timeout={timeout_s}s"
    url = f"https://{name}:{reference.port}{path}"
    service = reader.get(SERVICES, reference.namespace, reference.name)
    if service is None:
        raise of_post(url, f'service "{reference.name}" not found')
    try:
        host, port = _dialled(service, reference)
    except CallError as error:
        raise of_post(url, error.reason) from error
    return Target(url, host, port, name, path, ca)


def _dialled(service: Object, reference: ServiceReference) -> tuple[str, int]:
    spec: Object = service["spec"]
    kind = spec.get("type") or "ClusterIP"
    if kind == "ExternalName":
        return str(spec.get("externalName") or ""), reference.port
    if kind not in _ROUTED:
        raise CallError(f'unsupported service type "{kind}"')
    address = spec.get("clusterIP") or "None"
    if address == "None":
        raise CallError('cannot route to service with ClusterIP "None"')
    if all(one.get("port") != reference.port for one in spec.get("ports") or ()):
        raise CallError(f'no service port {reference.port} found for service "{reference.name}"')
    return address, reference.port
