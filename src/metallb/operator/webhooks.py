"""The webhook of MetalLB resources: the server, and the certificate that belongs to it. Every replica answers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from metallb.kube.certificate_files import CertificateFiles
from metallb.kube.client import KubeClient
from metallb.kube.rotation import Names, Rotation
from metallb.kube.rotation_plan import Rules
from metallb.kube.tls import TlsSettings
from metallb.kube.webhook_server import WebhookServer
from metallb.operator.admitting import PATH, answer
from metallb.operator.settings import OperatorSettings

SECRET: Final = "metallb-operator-webhook-server-cert"  # noqa: S105  # the secret's name
CONFIGURATION: Final = "metallb-operator-webhook-configuration"
PORT: Final = 9443


class Webhook:
    """Admission over TLS. It needs nothing of the cluster but its certificate."""

    def __init__(self, client: KubeClient, settings: OperatorSettings, tls: TlsSettings) -> None:
        """Does nothing until `start`."""
        self._settings = settings
        self._server = WebhookServer({PATH: self._answer}, port=settings.webhook_port, tls=tls)
        self._certificate: CertificateFiles | Rotation = (
            CertificateFiles(Path(settings.cert_dir), self._server.use)
            if settings.disable_cert_rotation
            else Rotation(client, names_of(settings), rules_of(settings), serve=self._server.use)
        )

    @property
    def ready(self) -> bool:
        """Whether requests can be answered: a trusted certificate is served."""
        return self._certificate.ready and self._server.listening.is_set()

    def start(self, group: asyncio.TaskGroup) -> None:
        """Keeps the certificate and serves from now on."""
        group.create_task(self._certificate.run(), name="webhook's certificate")
        group.create_task(self._server.run(), name="webhook server")

    async def _answer(self, body: bytes) -> bytes:
        return answer(body, self._settings.namespace, self._settings.frrk8s_external_namespace)


def names_of(settings: OperatorSettings) -> Names:
    """The objects of the certificate."""
    return Names(settings.namespace, SECRET, CONFIGURATION, ())


def rules_of(settings: OperatorSettings) -> Rules:
    """What the certificate has to be like: for the Service by which the API server reaches us."""
    return Rules((f"{settings.cert_service_name}.{settings.namespace}.svc",))
