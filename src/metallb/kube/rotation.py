"""Keeps a webhook's certificate: makes and renews it in a Secret, serves it, and makes the API server trust it.

    names = Names("metallb-system", "metallb-webhook-cert", "metallb-webhook-configuration", ("bgppeers.metallb.io",))
    rotation = Rotation(client, names, Rules(("metallb-webhook-service.metallb-system.svc",)), serve=server.use)
    group.create_task(rotation.run())

Any number of replicas may do this at once: writes of the Secret are conditional on the version that was read, who comes
second takes over what the first has written. `metallb.kube.rotation_plan` decides, this module reads and writes.
Source: spec/controller.md 14; KEP-555 (server-side apply).
"""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from msgspec.json import Decoder

from metallb.api.core import Model, ObjectMeta
from metallb.kube.authority import Pair, issue, make_authority
from metallb.kube.backoff import Backoff
from metallb.kube.client import KubeClient
from metallb.kube.errors import ConflictError, InvalidError, NotFoundError
from metallb.kube.informer import Informer
from metallb.kube.objects import BARE, Key
from metallb.kube.reconciler import Again, Failed, Outcome, Reconciler
from metallb.kube.resources import SECRETS
from metallb.kube.rotation_plan import (
    CA_CERTIFICATE,
    CA_KEY,
    CERTIFICATE,
    KEY,
    Material,
    NewAuthority,
    NewBundle,
    NewCertificate,
    Rules,
    Seen,
    Step,
    Target,
    plan,
    read,
    trusted,
)
from metallb.kube.trust import Trust, decoded, only
from metallb.telemetry import logs

BACKOFF: Final = Backoff(first_s=0.2, limit_s=30.0)
"""Of what the API server refuses: until it is in order, nothing can be configured."""

_KEY: Final = "certificate"

_log = logs.logger(op="certificate")


@dataclass(frozen=True, slots=True)
class Names:
    """The objects that belong to one webhook server.

    Attributes:
        namespace: of the Secret.
        secret: holds authority and certificate.
        configuration: a ValidatingWebhookConfiguration, each webhook of which is ours.
        definitions: CustomResourceDefinitions that we convert.
    """

    namespace: str
    secret: str
    configuration: str
    definitions: tuple[str, ...] = ()


class _Secret(Model, frozen=True):
    metadata: ObjectMeta = ObjectMeta()
    data: dict[str, str] | None = None


class Rotation:
    """See the module.

    Attributes:
        ready: whether a certificate is served that all targets trust.
    """

    def __init__(
        self,
        client: KubeClient,
        names: Names,
        rules: Rules,
        *,
        serve: Callable[[Pair], None],
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Does nothing until `run`.

        Args:
            client: an open client.
            names: the objects.
            rules: what certificates have to be like.
            serve: called with each certificate to serve from then on.
            wall: seconds since 1970.
            clock: monotonic seconds.
        """
        self.ready = False
        self._client = client
        self._names = names
        self._rules = rules
        self._serve = serve
        self._wall = wall
        self._clock = clock
        self._served: Material | None = None
        self._trusted: tuple[bytes, float] | None = None
        self._written_over = ""
        self._material: tuple[str, Material] = "", Material()
        self._work: Reconciler[str] = Reconciler(_KEY, self._reconcile, backoff=BACKOFF)
        self._secret = Informer(
            client, SECRETS, decoder=Decoder(_Secret), namespace=names.namespace, field_selector=only(names.secret)
        )
        self._objects = Trust(client, names.configuration, names.definitions)

    async def run(self) -> NoReturn:
        """Keeps everything as it should be, until cancelled."""
        informers: list[Informer[Any]] = [self._secret, *self._objects.informers]
        async with asyncio.TaskGroup() as group:
            for informer in informers:
                group.create_task(informer.run(), name=f"informer {informer.resource} of the webhook")
            for informer in informers:
                await informer.synced.wait()
            for informer in informers:
                informer.subscribe(self._wake)
            self._work.add(_KEY)
            await self._work.run()
        raise AssertionError("unreachable")  # pragma: no cover  # a reconciler runs until it is cancelled

    def _wake(self, _key: Key) -> None:
        self._work.add(_KEY)

    async def _reconcile(self, _key: str) -> Outcome:
        now = dt.datetime.fromtimestamp(self._wall(), tz=dt.UTC)
        found = self._secret.store.get((self._names.namespace, self._names.secret))
        material = None if found is None else self._read(found)
        objects = self._objects.seen()
        targets = [each.target for each in objects]
        decided = plan(Seen(material, targets, self._served, self._trusted_for(material, targets)), now, self._rules)
        if decided.serve is not None and material is not None:
            self._serve(decided.serve)
            self._log_served(material)
        if material is not None and self._served_pair(decided.serve) == material.pair:
            self._served = material
        self.ready = decided.ready
        try:
            if decided.inject is not None and not await self._objects.give(objects, decided.inject):
                self._work.add_after(_KEY, 1.0)
            if decided.step is not None:
                await self._take(decided.step, found, now)
        except InvalidError as error:  # somebody must change an object: looked at again, ever more slowly
            return Failed(error)
        return Again(decided.again.total_seconds())

    def _served_pair(self, new: Pair | None) -> Pair | None:
        return new or (self._served.pair if self._served else None)

    def _read(self, found: _Secret) -> Material:
        """What the Secret holds; checking its keys takes a tenth of a second, so each version is read once."""
        version = found.metadata.resource_version
        if version != self._material[0]:
            self._material = version, read(_data(found), self._rules)
        return self._material[1]

    def _trusted_for(self, material: Material | None, targets: list[Target]) -> dt.timedelta | None:
        """How long all targets have been seen to trust the authority that signs."""
        if material is None or material.signer is None or not trusted(targets, material.signing):
            self._trusted = None
            return None
        if self._trusted is None or self._trusted[0] != material.signer.certificate:
            self._trusted = material.signer.certificate, self._clock()
        return dt.timedelta(seconds=self._clock() - self._trusted[1])

    def _log_served(self, material: Material) -> None:
        leaf = material.leaf
        ends = leaf.not_valid_after_utc.isoformat() if leaf is not None else ""
        _log.info("a certificate is served", event="certificateServed", secret=self._names.secret, ends=ends)

    # The Secret

    async def _take(self, step: Step, found: _Secret | None, now: dt.datetime) -> None:
        """Makes what is wanted and writes it, unless somebody else was faster."""
        version = "" if found is None else found.metadata.resource_version
        if version and version == self._written_over:
            return  # the cache does not show our own write yet
        _log.info("the webhook's Secret is written", event="certificateRenewed", step=type(step).__name__, why=step.why)
        made = await asyncio.to_thread(_make, step, now, self._rules)  # keys take half a second
        data = {name: base64.b64encode(value).decode() for name, value in made.items()}
        try:
            await self._write(found, data)
        except ConflictError:
            _log.info("another replica has written the Secret, its content is taken over", secret=self._names.secret)
        except NotFoundError:
            _log.info("the Secret went meanwhile, it is looked at again", secret=self._names.secret)
        else:
            self._written_over = version

    async def _write(self, found: _Secret | None, data: Mapping[str, str]) -> None:
        namespace, name = self._names.namespace, self._names.secret
        if found is None:
            metadata = {"name": name, "namespace": namespace}
            body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": dict(data)}
            await self._client.create(SECRETS, body, namespace=namespace, decoder=BARE)
            return
        metadata = {"resourceVersion": found.metadata.resource_version, "uid": found.metadata.uid}
        await self._client.merge_patch(
            SECRETS, name, {"metadata": metadata, "data": dict(data)}, namespace=namespace, decoder=BARE
        )


def _make(step: Step, now: dt.datetime, rules: Rules) -> dict[str, bytes]:
    """The keys of the Secret that a step changes."""
    match step:
        case NewAuthority(_, keep, pair):
            signer = make_authority(now, rules.authority_lifetime)
            served = pair or issue(signer, rules.dns_names, now, rules.lifetime)
            return {
                CA_CERTIFICATE: signer.certificate + keep,
                CA_KEY: signer.key,
                CERTIFICATE: served.chain,
                KEY: served.key,
            }
        case NewCertificate(_, signer):
            served = issue(signer, rules.dns_names, now, rules.lifetime)
            return {CERTIFICATE: served.chain, KEY: served.key}
        case NewBundle(_, bundle):
            return {CA_CERTIFICATE: bundle}


def _data(secret: _Secret) -> dict[str, bytes]:
    return {name: decoded(value) for name, value in (secret.data or {}).items()}
