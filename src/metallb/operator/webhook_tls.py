"""Tells the webhook server, which no MetalLB resource stands for, what the cluster wants of TLS (spec/operator.md 4.4).

The settings are the ConfigMap `metallb-tls-config`, from which its Deployment takes its environment. Pods read that
once: where the settings are others than before they are replaced one by one, by an annotation of the Deployment's
template. Upstream's operator deletes all of them at each of its starts, or never.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from metallb.kube.apply import apply_object
from metallb.kube.client import KubeClient
from metallb.kube.errors import NotFoundError
from metallb.kube.objects import BARE, Key
from metallb.kube.reconciler import Done, Outcome, Reconciler
from metallb.kube.resources import DEPLOYMENTS
from metallb.kube.trust import only
from metallb.operator.settings import OperatorSettings
from metallb.telemetry import logs

Object = dict[str, Any]

CONFIG: Final = "metallb-tls-config"
SERVER: Final = "metallb-operator-webhook-server"
ANNOTATION: Final = "metallb.io/tls-settings"

_log = logs.logger(op="webhook tls")


def config(settings: OperatorSettings, server: str = "") -> Object:
    """The ConfigMap; it goes with the server's Deployment, whose uid is `server`: no MetalLB resource stands for it."""
    labels = {"app": "metallb", "app.kubernetes.io/managed-by": "metallb-operator"}
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": SERVER, "uid": server}
    metadata = {"name": CONFIG, "namespace": settings.namespace, "labels": labels}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata | ({"ownerReferences": [owner]} if server else {}),
        "data": _values(settings),
    }


def mark(settings: OperatorSettings) -> Object:
    """What is ours of the Deployment: which settings its pods have; nothing where they are the default."""
    values = _values(settings)
    text = "".join(f"{name}={value}\n" for name, value in sorted(values.items()))
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    marked = {"spec": {"template": {"metadata": {"annotations": {ANNOTATION: digest}}}}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": SERVER, "namespace": settings.namespace},
        **(marked if any(values.values()) else {}),
    }


def _values(settings: OperatorSettings) -> dict[str, str]:
    return {
        "TLS_CIPHER_SUITES": settings.suites,
        "TLS_CURVE_PREFERENCES": settings.tls_curve_preferences,
        "TLS_MIN_VERSION": settings.tls_min_version,
    }


class WebhookTls:
    """The work of the replica that leads: run `queue`."""

    def __init__(self, client: KubeClient, settings: OperatorSettings) -> None:
        """Does nothing until `queue` runs."""
        self._client = client
        self._settings = settings
        self._key = Key(settings.namespace, CONFIG)
        self.queue: Reconciler[Key] = Reconciler("webhook-tls", self._reconcile)
        self.queue.add(self._key)

    def review(self, key: Key) -> None:
        """A ConfigMap of ours has changed."""
        if key == self._key:
            self.queue.add(key)

    async def _reconcile(self, key: Key) -> Outcome:
        """Settings first, pods after: a pod that starts in between has the new ones, and is replaced to no harm."""
        page = await self._client.list(DEPLOYMENTS, decoder=BARE, namespace=key.namespace, field_selector=only(SERVER))
        await apply_object(self._client, config(self._settings, *(each.metadata.uid for each in page.items)))
        if not page.items:
            _log.debug("there is no webhook server to tell", name=SERVER)
            return Done()
        try:
            await apply_object(self._client, mark(self._settings))
        except NotFoundError:  # it went this moment
            return Done()
        return Done()
