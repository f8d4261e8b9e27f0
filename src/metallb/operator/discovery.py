"""Asks the cluster what it is, and ends the process when the answer is another one: it starts again with that."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from msgspec.json import Decoder

from metallb.kube.client import KubeClient
from metallb.kube.credentials import CredentialsError
from metallb.kube.daemon import StartError
from metallb.kube.errors import ApiError, ForbiddenError, MalformedError, NotFoundError
from metallb.kube.informer import Informer
from metallb.kube.resources import API_SERVERS
from metallb.kube.tls import CIPHERS, VERSIONS
from metallb.kube.trust import only
from metallb.operator.platform import ApiServer, Groups, TlsProfile, is_openshift, tls_profile
from metallb.operator.settings import OperatorSettings
from metallb.telemetry import logs

CLUSTER: Final = "cluster"
RETRY_S: Final = 1.0

_GROUPS: Final = Decoder(Groups)
_SERVER: Final = Decoder(ApiServer)
_IANA: Final = {openssl: name for name, openssl in CIPHERS.items()}

_log = logs.logger(op="platform")


async def on_openshift(client: KubeClient) -> bool:
    """Whether the cluster is OpenShift; asks until there is an answer."""
    while True:
        try:
            groups = _GROUPS.decode(await client.raw("GET", "/apis")).groups
        except ForbiddenError as error:
            _log.warn("the cluster does not say what it is: taken for plain Kubernetes", error=str(error))
            return False
        except (ApiError, CredentialsError) as error:
            _log.warn("the cluster can't be asked what it is, again in a moment", error=str(error))
            await asyncio.sleep(RETRY_S)
        else:
            return is_openshift(groups)


async def profile(client: KubeClient) -> TlsProfile:
    """The cluster's TLS profile; asks until there is an answer."""
    while True:
        try:
            return _profile(await client.get(API_SERVERS, CLUSTER, decoder=_SERVER))
        except (ForbiddenError, NotFoundError, MalformedError) as error:
            _log.warn("the cluster's TLS profile can't be read: the default is taken", error=str(error))
            return _profile(ApiServer())
        except (ApiError, CredentialsError) as error:
            _log.warn("the cluster's TLS profile can't be read, again in a moment", error=str(error))
            await asyncio.sleep(RETRY_S)


async def until_profile_changes(client: KubeClient, known: TlsProfile) -> None:
    """Returns never.

    Raises:
        StartError: the profile is another one.
    """
    informer = Informer(client, API_SERVERS, decoder=_SERVER, field_selector=only(CLUSTER))
    changed = asyncio.Event()
    informer.subscribe(lambda _key: changed.set())
    async with asyncio.TaskGroup() as group:
        group.create_task(informer.run(), name="informer apiservers")
        while True:
            await changed.wait()
            changed.clear()
            server = informer.store.get(("", CLUSTER))
            if server is not None and _profile(server) != known:
                raise StartError("the cluster's TLS profile has changed: the operator starts again with the new one")


def with_profile(settings: OperatorSettings, found: TlsProfile) -> OperatorSettings:
    """On OpenShift the cluster's profile stands for the variables `TLS_*`."""
    return replace(
        settings,
        tls_min_version=found.minimum,
        tls_cipher_suites=",".join(found.ciphers),
        tls_curve_preferences="",
    )


def _profile(server: ApiServer) -> TlsProfile:
    return tls_profile(server, _IANA, VERSIONS)
