"""The webhooks' wiring: caches, the index, certificates, the server. Every replica answers, whether it leads or not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, Final

from msgspec.json import Decoder

from metallb.api import v1beta1, v1beta1_bgp, v1beta2
from metallb.api.conversion import convert
from metallb.api.core import Namespace, Node, Secret, Service
from metallb.api.net import ServiceKey
from metallb.config.build import Snapshot
from metallb.config.change import FIELDS
from metallb.config.errors import ObjectName
from metallb.config.index import Index
from metallb.config.surroundings import NodeFacts, ServiceFacts, Surroundings
from metallb.config.together import Resource
from metallb.controller.admitting import Admission, Sources
from metallb.controller.settings import ControllerSettings
from metallb.kube import conversions
from metallb.kube.certificate_files import CertificateFiles
from metallb.kube.client import KubeClient
from metallb.kube.errors import NotFoundError
from metallb.kube.informer import Informer
from metallb.kube.inputs import Inputs
from metallb.kube.objects import Key
from metallb.kube.resources import (
    BFD_PROFILES,
    BGP_ADVERTISEMENTS,
    BGP_PEERS,
    COMMUNITIES,
    IP_ADDRESS_POOLS,
    L2_ADVERTISEMENTS,
    NAMESPACES,
    NODES,
    SECRETS,
    SERVICES,
)
from metallb.kube.resources import Resource as ApiResource
from metallb.kube.rotation import Names, Rotation
from metallb.kube.rotation_plan import Rules
from metallb.kube.webhook_server import WebhookServer
from metallb.telemetry import logs
from metallb.telemetry import metrics as m

CONFIGURATION: Final = "metallb-webhook-configuration"
CONVERTED: Final = "bgppeers.metallb.io"
CONVERT_PATH: Final = "/convert"

_POOLS: Final = Decoder(v1beta1.IPAddressPool)
_L2: Final = Decoder(v1beta1.L2Advertisement)
_BGP: Final = Decoder(v1beta1_bgp.BGPAdvertisement)
_PEERS: Final = Decoder(v1beta2.BGPPeer)
_BFD: Final = Decoder(v1beta1_bgp.BFDProfile)
_COMMUNITIES: Final = Decoder(v1beta1_bgp.Community)
_NAMESPACES: Final = Decoder(Namespace)
_NODES: Final = Decoder(Node)

_OBJECTS: Final[Mapping[str, tuple[ApiResource, Decoder[Any]]]] = {
    "IPAddressPool": (IP_ADDRESS_POOLS, _POOLS),
    "L2Advertisement": (L2_ADVERTISEMENTS, _L2),
    "BGPAdvertisement": (BGP_ADVERTISEMENTS, _BGP),
    "BGPPeer": (BGP_PEERS, _PEERS),
    "BFDProfile": (BFD_PROFILES, _BFD),
    "Community": (COMMUNITIES, _COMMUNITIES),
}

_log = logs.logger(op="webhook")


class Seen:
    """What the webhooks know of the cluster. Informers that the process has for other work are shared."""

    def __init__(
        self,
        client: KubeClient,
        namespace: str,
        *,
        services: Informer[Service] | None = None,
        pools: Informer[v1beta1.IPAddressPool] | None = None,
        namespaces: Informer[Namespace] | None = None,
        communities: Informer[v1beta1_bgp.Community] | None = None,
    ) -> None:
        def informer(resource: ApiResource, decoder: Decoder[Any], where: str = "") -> Informer[Any]:
            own = Informer(client, resource, decoder=decoder, namespace=where)
            self._own.append(own)
            return own

        self._own: list[Informer[Any]] = []
        self.services: Informer[Service] = services or informer(SERVICES, Decoder(Service))
        self.pools: Informer[v1beta1.IPAddressPool] = pools or informer(IP_ADDRESS_POOLS, _POOLS, namespace)
        self.namespaces: Informer[Namespace] = namespaces or informer(NAMESPACES, _NAMESPACES)
        self.communities: Informer[v1beta1_bgp.Community] = communities or informer(
            COMMUNITIES, _COMMUNITIES, namespace
        )
        self.l2: Informer[v1beta1.L2Advertisement] = informer(L2_ADVERTISEMENTS, _L2, namespace)
        self.bgp: Informer[v1beta1_bgp.BGPAdvertisement] = informer(BGP_ADVERTISEMENTS, _BGP, namespace)
        self.peers: Informer[v1beta2.BGPPeer] = informer(BGP_PEERS, _PEERS, namespace)
        self.bfd: Informer[v1beta1_bgp.BFDProfile] = informer(BFD_PROFILES, _BFD, namespace)
        self.nodes: Informer[Node] = informer(NODES, _NODES)
        self.secrets: Informer[Secret] = informer(SECRETS, Decoder(Secret), namespace)
        self.objects: tuple[Informer[Any], ...] = (
            *(self.pools, self.l2, self.bgp, self.peers, self.bfd, self.communities),
        )
        self._needed: tuple[Informer[Any], ...] = (*self.objects, self.namespaces, self.nodes)
        # Reading peers may take a conversion by ourselves, which the API server asks for only once we are ready.
        first = [each for each in self._needed if each is not self.peers]
        self.inputs = Inputs(first, [self.peers, self.services, self.secrets])

    def start(self, group: asyncio.TaskGroup) -> None:
        """Follows the API from now on."""
        for each in self._own:
            group.create_task(each.run(), name=f"informer {each.resource} of the webhooks")

    def unsynced(self) -> str:
        """What a decision needs and is not complete; empty: all is."""
        missing = [str(each.resource) for each in self._needed if not each.synced.is_set()]
        return f"{', '.join(missing)} are not read yet" if missing else ""

    def cached(self, name: ObjectName) -> Resource | None:
        """An object of the configuration as the cache shows it."""
        informer = next(each for each in self.objects if each.resource.kind == name.kind)
        found: Resource | None = informer.store.get((name.namespace, name.name))
        return found


class Live:
    """What the API server has at this moment, of all that decides. What only warns is taken from the caches."""

    def __init__(self, client: KubeClient, settings: ControllerSettings, seen: Seen) -> None:
        self._client = client
        self._settings = settings
        self._seen = seen

    async def read(self) -> tuple[Snapshot, Surroundings]:
        """Lists everything.

        Raises:
            ApiError: the server does not say.
        """
        pools, l2, bgp, peers, bfd, communities, namespaces, nodes = await asyncio.gather(
            self._list(IP_ADDRESS_POOLS, _POOLS),
            self._list(L2_ADVERTISEMENTS, _L2),
            self._list(BGP_ADVERTISEMENTS, _BGP),
            self._list(BGP_PEERS, _PEERS),
            self._list(BFD_PROFILES, _BFD),
            self._list(COMMUNITIES, _COMMUNITIES),
            self._list(NAMESPACES, _NAMESPACES),
            self._list(NODES, _NODES),
        )
        snapshot = Snapshot(
            pools=pools,
            l2_advertisements=l2,
            bgp_advertisements=bgp,
            peers=peers,
            bfd_profiles=bfd,
            communities=communities,
            namespaces=_labels(namespaces),
            nodes=_labels(nodes),
            backend=self._settings.bgp_type,
        )
        return snapshot, Surroundings(
            nodes={each.name: NodeFacts.of(each) for each in nodes},
            services={each.key: ServiceFacts.of(each, self._settings.lb_class) for each in self._seen.services.store},
            secrets={each.metadata.name: each for each in self._seen.secrets.store},
        )

    async def read_named(self, kind: str, names: AbstractSet[ObjectName]) -> Snapshot:
        """Reads these objects, as far as they are there, for a change of an object of that kind.

        Beside them only nodes (who meets whom) and aliases (what has a colon may be one) can make a conflict none.

        Raises:
            ApiError: the server does not say.
        """
        on_nodes = {"BGPPeer", "BGPAdvertisement"} & {name.kind for name in names}
        aliases = kind in {"BGPAdvertisement", "Community"}
        single = [name for name in names if not (aliases and name.kind == "Community")]
        nodes = await self._list(NODES, _NODES) if on_nodes else []
        communities = await self._list(COMMUNITIES, _COMMUNITIES) if aliases else []
        found = await asyncio.gather(*map(self._get, single))
        objects = [*filter(None, found), *communities]
        fields: dict[str, Any] = {
            field: [each for each in objects if type(each).__name__ == of] for of, field in FIELDS.items()
        }
        return Snapshot(**fields, nodes=_labels(nodes), backend=self._settings.bgp_type)

    async def _get(self, name: ObjectName) -> Any:
        resource, decoder = _OBJECTS[name.kind]
        try:
            return await self._client.get(resource, name.name, namespace=name.namespace, decoder=decoder)
        except NotFoundError:
            return None

    async def _list(self, resource: ApiResource, decoder: Decoder[Any]) -> list[Any]:
        namespace = self._settings.namespace if resource.namespaced else ""
        page = await self._client.list(resource, decoder=decoder, namespace=namespace)
        return list(page.items)


class Webhooks:
    """Admission and conversion over TLS, with the certificate that belongs to it."""

    def __init__(self, client: KubeClient, settings: ControllerSettings, seen: Seen, metrics: m.Metrics) -> None:
        """Does nothing until `start`."""
        self._seen = seen
        self._metrics = metrics
        self._settled = asyncio.Event()
        self._draining = False
        self._index = Index(settings.bgp_type, settings.namespace, lb_class=settings.lb_class, reads_secrets=True)
        live = Live(client, settings, seen)
        self._admission = Admission(
            Sources(self._index, seen.cached, seen.unsynced, live.read, live.read_named, self._observe),
            settings.namespace,
        )
        self._server = WebhookServer(
            {**self._admission.answers(), CONVERT_PATH: _convert}, port=settings.webhook_port, tls=settings.tls
        )
        self._certificate: CertificateFiles | Rotation = (
            CertificateFiles(Path(settings.cert_dir), self._server.use)
            if settings.disable_cert_rotation
            else Rotation(client, names_of(settings), rules_of(settings), serve=self._server.use)
        )

    @property
    def ready(self) -> bool:
        """Whether requests can be answered: the caches are complete, a trusted certificate is served."""
        if self._draining:
            return False
        return self._settled.is_set() and self._certificate.ready and self._server.listening.is_set()

    def drain(self) -> None:
        """Not ready any more, and answering all the same, until those who send requests know it."""
        self._draining = True
        self._server.drain()

    def start(self, group: asyncio.TaskGroup) -> None:
        """Follows the API and serves from now on."""
        self._follow()
        self._seen.start(group)
        group.create_task(self._settle(), name="webhooks' caches")
        group.create_task(self._certificate.run(), name="webhooks' certificate")
        group.create_task(self._server.run(), name="webhook server")

    async def _settle(self) -> None:
        await self._seen.inputs.ready()
        self._settled.set()

    def _follow(self) -> None:
        """From the caches into the index."""
        seen = self._seen
        for each in seen.objects:
            each.subscribe(self._changed_of(each.resource.kind))
        seen.namespaces.subscribe(self._namespace)
        seen.nodes.subscribe(self._node)
        seen.services.subscribe(self._service)
        seen.secrets.subscribe(self._secret)

    def _changed_of(self, kind: str) -> Callable[[Key], None]:
        return lambda key: self._admission.changed(ObjectName(kind, key.namespace, key.name))

    def _namespace(self, key: Key) -> None:
        if (found := self._seen.namespaces.store.get(key)) is None:
            self._index.remove_namespace(key.name)
        else:
            self._index.put_namespace(key.name, found.metadata.labels)

    def _node(self, key: Key) -> None:
        if (found := self._seen.nodes.store.get(key)) is None:
            self._index.remove_node(key.name)
        else:
            self._index.put_node(found)

    def _service(self, key: Key) -> None:
        if (found := self._seen.services.store.get(key)) is None:
            self._index.remove_service(ServiceKey(*key))
        else:
            self._index.put_service(found)

    def _secret(self, key: Key) -> None:
        if (found := self._seen.secrets.store.get(key)) is None:
            self._index.remove_secret(*key)
        else:
            self._index.put_secret(found)

    def _observe(self, kind: str, outcome: str) -> None:
        self._metrics.add(m.WEBHOOK_DECISIONS, kind, outcome)


def names_of(settings: ControllerSettings) -> Names:
    """The objects of the certificate."""
    return Names(settings.namespace, settings.webhook_secret, CONFIGURATION, (CONVERTED,))


def rules_of(settings: ControllerSettings) -> Rules:
    """What the certificate has to be like: for the Service by which the API server reaches us."""
    return Rules((f"{settings.cert_service_name}.{settings.namespace}.svc",))


async def _convert(body: bytes) -> bytes:
    answer, failure = conversions.answer(body, convert)
    if failure:
        _log.warn("a conversion failed", event="conversionFailed", error=failure)
    return answer


def _labels(items: list[Any]) -> dict[str, dict[str, str]]:
    return {each.metadata.name: each.metadata.labels for each in items}
