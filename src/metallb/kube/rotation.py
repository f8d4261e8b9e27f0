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
import binascii
import datetime as dt
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from msgspec.json import Decoder

from metallb.api.core import Model, ObjectMeta
from metallb.kube.authority import Pair, issue, make_authority
from metallb.kube.client import KubeClient
from metallb.kube.errors import ConflictError, InvalidError, NotFoundError
from metallb.kube.informer import Informer
from metallb.kube.objects import BARE, Key
from metallb.kube.reconciler import Again, Failed, Outcome, Reconciler
from metallb.kube.resources import (
    CUSTOM_RESOURCE_DEFINITIONS,
    SECRETS,
    VALIDATING_WEBHOOK_CONFIGURATIONS,
    Resource,
)
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
    untrusting,
)
from metallb.telemetry import logs

FIELD_MANAGER: Final = "MetalLB"
"""Owns the bundles, and nothing else, in the objects that trust us."""

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


class _ClientConfig(Model, frozen=True):
    ca_bundle: str | None = None


class _Webhook(Model, frozen=True):
    name: str
    client_config: _ClientConfig = _ClientConfig()


class Configuration(Model, frozen=True):
    """admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration, as far as trust goes."""

    metadata: ObjectMeta = ObjectMeta()
    webhooks: tuple[_Webhook, ...] = ()


class _ConversionWebhook(Model, frozen=True):
    client_config: _ClientConfig | None = None


class _Conversion(Model, frozen=True):
    strategy: str = "None"
    webhook: _ConversionWebhook | None = None


class _DefinitionSpec(Model, frozen=True):
    conversion: _Conversion | None = None


class Definition(Model, frozen=True):
    """apiextensions.k8s.io/v1 CustomResourceDefinition, as far as trust goes."""

    metadata: ObjectMeta = ObjectMeta()
    spec: _DefinitionSpec = _DefinitionSpec()


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
        self._trust: tuple[bytes, float] | None = None
        self._said: set[str] = set()
        self._work: Reconciler[str] = Reconciler(_KEY, self._reconcile)
        self._secret = Informer(
            client, SECRETS, decoder=Decoder(_Secret), namespace=names.namespace, field_selector=_only(names.secret)
        )
        self._configuration = Informer(
            client,
            VALIDATING_WEBHOOK_CONFIGURATIONS,
            decoder=Decoder(Configuration),
            field_selector=_only(names.configuration),
        )
        self._definitions = [
            Informer(client, CUSTOM_RESOURCE_DEFINITIONS, decoder=Decoder(Definition), field_selector=_only(definition))
            for definition in names.definitions
        ]

    async def run(self) -> NoReturn:
        """Keeps everything as it should be, until cancelled."""
        informers: list[Informer[Any]] = [self._secret, self._configuration, *self._definitions]
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
        material = None if found is None else read(_data(found), self._rules)
        targets = self._targets()
        decided = plan(Seen(material, targets, self._served, self._trusted_for(material, targets)), now, self._rules)
        if decided.serve is not None and material is not None:
            self._serve(decided.serve)
            self._log_served(material)
        if material is not None and self._served_pair(decided.serve) == material.pair:
            self._served = material
        self.ready = decided.ready
        try:
            if decided.inject is not None:
                await self._inject(targets, decided.inject)
            if decided.step is not None:
                await self._take(decided.step, found, now)
        except InvalidError as error:  # somebody must change an object: looked at again, ever more slowly
            return Failed(error)
        return Again(decided.again.total_seconds())

    def _served_pair(self, new: Pair | None) -> Pair | None:
        return new or (self._served.pair if self._served else None)

    def _trusted_for(self, material: Material | None, targets: list[Target]) -> dt.timedelta | None:
        """How long all targets have been seen to trust the authority that signs."""
        if material is None or material.signer is None or not trusted(targets, material.signing):
            self._trust = None
            return None
        if self._trust is None or self._trust[0] != material.signer.certificate:
            self._trust = material.signer.certificate, self._clock()
        return dt.timedelta(seconds=self._clock() - self._trust[1])

    def _log_served(self, material: Material) -> None:
        leaf = material.leaf
        ends = leaf.not_valid_after_utc.isoformat() if leaf is not None else ""
        _log.info(
            "the webhook's certificate is served", event="certificateServed", secret=self._names.secret, ends=ends
        )

    # The targets

    def _targets(self) -> list[Target]:
        """Those that exist and can trust us; what is on its way out is left alone."""
        found: list[Target] = []
        configuration = self._configuration.store.get(("", self._names.configuration))
        if self._there(VALIDATING_WEBHOOK_CONFIGURATIONS, self._names.configuration, configuration):
            assert configuration is not None
            bundles = tuple(_bundle(each.client_config) for each in configuration.webhooks)
            found.append(Target(configuration.metadata.name, bundles))
        for name, informer in zip(self._names.definitions, self._definitions, strict=True):
            definition = informer.store.get(("", name))
            if self._there(CUSTOM_RESOURCE_DEFINITIONS, name, definition):
                assert definition is not None
                config = _conversion_config(definition)
                found.append(Target(name, () if config is None else (_bundle(config),)))
        return found

    def _there(self, resource: Resource, name: str, found: Configuration | Definition | None) -> bool:
        """Whether a target is there to stay; its absence is said once."""
        if found is None:
            if name not in self._said:
                self._said.add(name)
                _log.warn("nothing to make trust us yet: the object is not there", object=f"{resource} {name}")
            return False
        self._said.discard(name)
        return found.metadata.deletion_timestamp is None

    async def _inject(self, targets: list[Target], bundle: bytes) -> None:
        """Writes the bundle where it differs, as the only field of ours."""
        text = base64.b64encode(bundle).decode()
        for target in untrusting(targets, bundle):
            resource, body = self._bundle_of(target.name, text)
            try:
                await self._client.apply(resource, target.name, body, decoder=BARE, force=True, manager=FIELD_MANAGER)
            except (ConflictError, NotFoundError) as error:
                _log.info("the object changed meanwhile, looked at again", object=target.name, error=str(error))
                self._work.add_after(_KEY, 1.0)
            else:
                _log.info(
                    "bundle of trusted authorities written", event="bundleWritten", object=f"{resource} {target.name}"
                )

    def _bundle_of(self, name: str, text: str) -> tuple[Resource, dict[str, Any]]:
        """The object with nothing but its bundles; its uid keeps an apply from making it anew."""
        client_config = {"clientConfig": {"caBundle": text}}
        if name == self._names.configuration:
            configuration = self._configuration.store.get(("", name))
            assert configuration is not None
            webhooks = [{"name": each.name, **client_config} for each in configuration.webhooks]
            return VALIDATING_WEBHOOK_CONFIGURATIONS, _body(
                VALIDATING_WEBHOOK_CONFIGURATIONS, configuration.metadata, {"webhooks": webhooks}
            )
        informer = self._definitions[self._names.definitions.index(name)]
        definition = informer.store.get(("", name))
        assert definition is not None
        return CUSTOM_RESOURCE_DEFINITIONS, _body(
            CUSTOM_RESOURCE_DEFINITIONS,
            definition.metadata,
            {"spec": {"conversion": {"webhook": client_config}}},
        )

    # The Secret

    async def _take(self, step: Step, found: _Secret | None, now: dt.datetime) -> None:
        """Makes what is wanted and writes it, unless somebody else was faster."""
        _log.info("the webhook's Secret is written", event="certificateRenewed", step=type(step).__name__, why=step.why)
        made = await asyncio.to_thread(_make, step, now, self._rules)  # keys take half a second
        data = {name: base64.b64encode(value).decode() for name, value in made.items()}
        try:
            await self._write(found, data)
        except ConflictError:
            _log.info("another replica has written the Secret, its content is taken over", secret=self._names.secret)
        except NotFoundError:
            _log.info("the Secret went meanwhile, it is looked at again", secret=self._names.secret)

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


def _only(name: str) -> str:
    return f"metadata.name={name}"


def _data(secret: _Secret) -> dict[str, bytes]:
    return {name: _decoded(value) for name, value in (secret.data or {}).items()}


def _bundle(config: _ClientConfig) -> bytes:
    return _decoded(config.ca_bundle or "")


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=False)
    except binascii.Error:
        return b""


def _conversion_config(definition: Definition) -> _ClientConfig | None:
    """Where the bundle of a definition stands; None: nobody is asked to convert."""
    conversion = definition.spec.conversion
    if conversion is None or conversion.strategy != "Webhook":
        return None
    return (conversion.webhook.client_config if conversion.webhook else None) or _ClientConfig()


def _body(resource: Resource, metadata: ObjectMeta, fields: Mapping[str, Any]) -> dict[str, Any]:
    identity = {"name": metadata.name, "uid": metadata.uid}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": identity, **fields}
