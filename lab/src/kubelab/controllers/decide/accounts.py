"""What every namespace has from the start: the service account `default` and the cluster's CA certificate."""

from __future__ import annotations

from kubelab.controllers.decide.pods import is_deleting
from kubelab.controllers.decide.resources import CONFIG_MAPS, SERVICE_ACCOUNTS
from kubelab.controllers.decide.writes import Create, Decision, Update, Write
from kubelab.objects import Object

DEFAULT_ACCOUNT = "default"
ROOT_CA = "kube-root-ca.crt"

_CA_KEY = "ca.crt"
_DESCRIPTION = {
    "kubernetes.io/description": "Contains a CA bundle that can be used to verify the kube-apiserver when using "
    "internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across "
    "distributions of Kubernetes clusters."
}


def decide(namespace: Object, account: Object | None, certificate: Object | None, ca: str) -> Decision:
    """The missing or changed ones of a namespace; `ca` is PEM."""
    if is_deleting(namespace):
        return Decision()
    name = namespace["metadata"]["name"]
    writes: list[Write] = []
    if account is None:
        meta: Object = {"name": DEFAULT_ACCOUNT, "namespace": name}
        writes.append(
            Create(SERVICE_ACCOUNTS, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}, or_exists=True)
        )
    data = {_CA_KEY: ca}
    if certificate is None:
        meta = {"name": ROOT_CA, "namespace": name, "annotations": _DESCRIPTION}
        made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}
        writes.append(Create(CONFIG_MAPS, made, or_exists=True))
    elif certificate.get("data") != data:
        writes.append(Update(CONFIG_MAPS, certificate | {"data": data}))
    return Decision(tuple(writes))
