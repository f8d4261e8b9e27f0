"""Creates the Secret with the gossip key, which the speakers' pods mount (spec/controller.md 16)."""

from __future__ import annotations

import base64
from collections.abc import Callable

from metallb.kube.client import KubeClient
from metallb.kube.errors import AlreadyExistsError, NotFoundError
from metallb.kube.objects import BARE
from metallb.kube.resources import DEPLOYMENTS, SECRETS
from metallb.telemetry import logs

KEY = "secretkey"
_RANDOM_BYTES = 16

_log = logs.logger(op="memberlist")


async def ensure_key(
    client: KubeClient, namespace: str, secret: str, deployment: str, draw: Callable[[int], bytes]
) -> None:
    """Makes the Secret unless it is there; the Deployment owns it, so that it goes with it.

    Args:
        client: an open client.
        namespace: of both.
        secret: name of the Secret.
        deployment: name of our Deployment.
        draw: gives that many unpredictable bytes.

    Raises:
        ApiError: the server refuses, or the Deployment does not exist.
    """
    try:
        await client.get(SECRETS, secret, namespace=namespace, decoder=BARE)
    except NotFoundError:
        pass
    else:
        return
    owner = await client.get(DEPLOYMENTS, deployment, namespace=namespace, decoder=BARE)
    text = base64.b64encode(draw(_RANDOM_BYTES)).rstrip(b"=")
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": secret,
            "namespace": namespace,
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment, "uid": owner.metadata.uid}
            ],
        },
        "data": {KEY: base64.b64encode(text).decode()},
    }
    try:
        await client.create(SECRETS, body, namespace=namespace, decoder=BARE)
    except AlreadyExistsError:
        return
    _log.info("created the key that speakers encrypt their gossip with", event="secretCreated", secret=secret)
