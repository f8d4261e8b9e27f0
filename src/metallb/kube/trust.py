"""The objects that say whom the API server trusts when it asks a webhook: followed, and given the bundle of CAs.

The bundle is a field of its own under server-side apply (KEP-555): whoever applies the rest of the object again,
without the bundle, leaves it as it is.
Source: admissionregistration.k8s.io/v1 WebhookClientConfig; apiextensions.k8s.io/v1 WebhookConversion.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from msgspec.json import Decoder

from metallb.api.core import Model, ObjectMeta
from metallb.kube.client import KubeClient
from metallb.kube.errors import ConflictError, NotFoundError
from metallb.kube.informer import Informer
from metallb.kube.objects import BARE
from metallb.kube.resources import CUSTOM_RESOURCE_DEFINITIONS, VALIDATING_WEBHOOK_CONFIGURATIONS, Resource
from metallb.kube.rotation_plan import Target
from metallb.telemetry import logs

FIELD_MANAGER: Final = "MetalLB"
"""Owns the bundles, and nothing else, in the objects that trust us."""

_log = logs.logger(op="certificate")


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


@dataclass(frozen=True, slots=True)
class Trusting:
    """An object that must trust us, as it was seen.

    Attributes:
        target: its bundles.
        resource: its kind.
        metadata: of the object.
        fields: gives the object's fields with nothing but a bundle (base64).
    """

    target: Target
    resource: Resource
    metadata: ObjectMeta
    fields: Callable[[str], Mapping[str, Any]]

    def __str__(self) -> str:
        """As logs name it."""
        return f"{self.resource} {self.metadata.name}"


class Trust:
    """A ValidatingWebhookConfiguration, each webhook of which is ours, and definitions that we convert."""

    def __init__(self, client: KubeClient, configuration: str, definitions: Sequence[str]) -> None:
        """Their names; does nothing until `informers` run."""
        self._client = client
        self._said: set[str] = set()
        self._written: dict[str, tuple[str, str]] = {}
        self._configuration: Informer[Configuration] = Informer(
            client,
            VALIDATING_WEBHOOK_CONFIGURATIONS,
            decoder=Decoder(Configuration),
            field_selector=only(configuration),
        )
        self._definitions: dict[str, Informer[Definition]] = {
            name: Informer(client, CUSTOM_RESOURCE_DEFINITIONS, decoder=Decoder(Definition), field_selector=only(name))
            for name in definitions
        }
        self._name = configuration

    @property
    def informers(self) -> list[Informer[Any]]:
        """What follows the objects."""
        return [self._configuration, *self._definitions.values()]

    def seen(self) -> list[Trusting]:
        """The objects that are there to stay and ask us; the absence of one is said once."""
        return list(self._seen())

    def _seen(self) -> Iterator[Trusting]:
        configuration = self._configuration.store.get(("", self._name))
        if configuration is not None and self._stays(VALIDATING_WEBHOOK_CONFIGURATIONS, self._name, configuration):
            yield _of_configuration(configuration)
        elif configuration is None:
            self._stays(VALIDATING_WEBHOOK_CONFIGURATIONS, self._name, None)
        for name, informer in self._definitions.items():
            definition = informer.store.get(("", name))
            if definition is None:
                self._stays(CUSTOM_RESOURCE_DEFINITIONS, name, None)
            elif self._stays(CUSTOM_RESOURCE_DEFINITIONS, name, definition):
                yield _of_definition(definition)

    async def give(self, objects: Sequence[Trusting], bundle: bytes) -> bool:
        """Writes the bundle where it differs, as the only field of ours; False: look again soon."""
        text = base64.b64encode(bundle).decode()
        done = True
        for each in objects:
            version = each.metadata.resource_version
            if all(one == bundle for one in each.target.bundles) or self._written.get(str(each)) == (version, text):
                continue  # it has the bundle, or its cache does not show our own write yet
            try:
                await self._apply(each, text)
            except (ConflictError, NotFoundError) as error:
                _log.info("the object changed meanwhile, looked at again", object=str(each), error=str(error))
                done = False
            else:
                self._written[str(each)] = version, text
                _log.info("the bundle of trusted CAs is written", event="bundleWritten", object=str(each))
        return done

    async def _apply(self, each: Trusting, text: str) -> None:
        # With its uid an apply never makes an object anew that has gone meanwhile.
        identity = {"name": each.metadata.name, "uid": each.metadata.uid}
        head = {"apiVersion": each.resource.api_version, "kind": each.resource.kind, "metadata": identity}
        body = {**head, **each.fields(text)}
        await self._client.apply(
            each.resource, each.metadata.name, body, decoder=BARE, force=True, manager=FIELD_MANAGER
        )

    def _stays(self, resource: Resource, name: str, found: Configuration | Definition | None) -> bool:
        if found is not None:
            self._said.discard(name)
            return found.metadata.deletion_timestamp is None
        if name not in self._said:
            self._said.add(name)
            _log.warn("the object that should trust our certificate is not there yet", object=f"{resource} {name}")
        return False


def _of_configuration(found: Configuration) -> Trusting:
    def fields(text: str) -> Mapping[str, Any]:
        return {"webhooks": [{"name": each.name, **_config(text)} for each in found.webhooks]}

    target = Target(found.metadata.name, tuple(_bundle(each.client_config) for each in found.webhooks))
    return Trusting(target, VALIDATING_WEBHOOK_CONFIGURATIONS, found.metadata, fields)


def _of_definition(found: Definition) -> Trusting:
    """One without a webhook has no bundle to be right or wrong."""
    conversion = found.spec.conversion
    bundles: tuple[bytes, ...] = ()
    if conversion is not None and conversion.strategy == "Webhook":
        config = conversion.webhook.client_config if conversion.webhook else None
        bundles = (_bundle(config or _ClientConfig()),)
    target = Target(found.metadata.name, bundles)
    return Trusting(
        target,
        CUSTOM_RESOURCE_DEFINITIONS,
        found.metadata,
        lambda text: {"spec": {"conversion": {"webhook": _config(text)}}},
    )


def _config(text: str) -> dict[str, Any]:
    return {"clientConfig": {"caBundle": text}}


def _bundle(config: _ClientConfig) -> bytes:
    return decoded(config.ca_bundle or "")


def decoded(text: str) -> bytes:
    """Base64 as the API writes it; what is none counts as nothing."""
    try:
        return base64.b64decode(text)
    except binascii.Error:
        return b""


def only(name: str) -> str:
    """The field selector of one object."""
    return f"metadata.name={name}"
