"""What a ClusterServiceVersion becomes: Services and certificates of webhooks, Deployments, webhook configurations.

Source: OLM `pkg/controller/install`; names, mounts, labels and environment are the real one's.
"""

from __future__ import annotations

import base64
import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kubelab.objects import Object
from kubelab.olm.names import MANAGED, hash_of, owner_labels, owner_reference

CA_KEY: Final = "olmCAKey"
_HASH_LABEL: Final = "olm.deployment-spec-hash"
_MOUNTS: Final = (
    ("apiservice-cert", "/apiserver.local.config/certificates", "apiserver"),
    ("webhook-cert", "/tmp/k8s-webhook-server/serving-certs", "tls"),  # noqa: S108  # where operators look for it
)
_PORT: Final = 443
_USER: Final = 1_000_650_000


@dataclass(frozen=True, slots=True)
class Certificate:
    """A serving certificate with its key and the authority that signed it, each PEM."""

    cert: bytes
    key: bytes
    authority: bytes

    @classmethod
    def of(cls, secret: Object) -> Certificate | None:
        """The one that a Secret holds, None if it lacks a part."""
        data = secret.get("data") or {}
        if not {"tls.crt", "tls.key", CA_KEY} <= data.keys():
            return None
        return cls(*(base64.b64decode(data[name]) for name in ("tls.crt", "tls.key", CA_KEY)))


def deployments(csv: Object) -> list[Object]:
    """Name, labels and spec of each Deployment, as the ClusterServiceVersion has them."""
    return list(csv["spec"]["install"].get("spec", {}).get("deployments", []))


def webhooks_of(csv: Object, deployment: str) -> list[Object]:
    """The webhook definitions that a Deployment serves."""
    return [each for each in csv["spec"].get("webhookdefinitions", []) if each.get("deploymentName") == deployment]


def service_name(deployment: str) -> str:
    """The Service of a Deployment's webhooks."""
    return deployment.replace(".", "-") + "-service"


def secret_name(deployment: str) -> str:
    """The Secret of its certificate."""
    return f"{service_name(deployment)}-cert"


def host_names(deployment: str, namespace: str) -> tuple[str, ...]:
    """The names that the certificate is for."""
    host = f"{service_name(deployment)}.{namespace}"
    return host, f"{host}.svc", f"{host}.svc.cluster.local"


def service(csv: Object, deployment: Object) -> Object:
    """The Service by which the API server reaches a Deployment's webhooks."""
    ports: list[Object] = []
    for webhook in webhooks_of(csv, deployment["name"]):
        number = webhook.get("containerPort", _PORT)
        port = {"name": str(number), "port": number, "targetPort": webhook.get("targetPort", number)}
        if port not in ports:
            ports.append(port)
    spec = {"ports": ports, "selector": deployment["spec"]["selector"]["matchLabels"]}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _meta(csv, service_name(deployment["name"])),
        "spec": spec,
    }


def secret(csv: Object, deployment: str, certificate: Certificate) -> Object:
    """The Secret that pods mount."""
    data = {"tls.crt": certificate.cert, "tls.key": certificate.key, CA_KEY: certificate.authority}
    meta = _meta(csv, secret_name(deployment))
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": meta | {"annotations": {"olmcahash": _digest(certificate)}},
        "type": "kubernetes.io/tls",
        "data": {name: base64.b64encode(value).decode() for name, value in data.items()},
    }


def secret_rights(csv: Object, deployment: Object) -> list[Object]:
    """Role and binding by which a Deployment's account may read that Secret."""
    name = secret_name(deployment["name"])
    account = deployment["spec"]["template"]["spec"].get("serviceAccountName", "default")
    rule = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [name], "verbs": ["get"]}
    subject = {"kind": "ServiceAccount", "name": account, "namespace": csv["metadata"]["namespace"]}
    group = "rbac.authorization.k8s.io"
    return [
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": _meta(csv, name), "rules": [rule]},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": _meta(csv, name),
            "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            "subjects": [subject],
        },
    ]


def deployment_of(
    csv: Object, wanted: Object, annotations: Mapping[str, str], certificate: Certificate | None
) -> Object:
    """The Deployment as it is made: owned, with the certificate mounted; pods carry the group's annotations."""
    spec = copy.deepcopy(wanted["spec"])
    template = spec["template"]
    meta = template.setdefault("metadata", {})
    meta["annotations"] = meta.get("annotations", {}) | annotations
    if certificate is not None:
        _mount(template["spec"], secret_name(wanted["name"]))
        meta["annotations"]["olmcahash"] = _digest(certificate)
    for container in template["spec"]["containers"]:
        variables = [each for each in container.get("env", []) if each["name"] != "OPERATOR_CONDITION_NAME"]
        condition = {"name": "OPERATOR_CONDITION_NAME", "value": csv["metadata"]["name"]}
        container["env"] = [*variables, condition]
    _put_in_range(template["spec"])
    spec["revisionHistoryLimit"] = 1
    made = _meta(csv, wanted["name"])
    labels = wanted.get("label", {}) | MANAGED | owner_labels(csv) | {_HASH_LABEL: hash_of(spec)}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": made | {"labels": labels}, "spec": spec}


def _put_in_range(pod: Object) -> None:
    """What is no part of OLM: OpenShift's admission gives pods that name no user one of their namespace's range.

    The lab has no such admission, and its images have no user of their own but root.
    """
    security = pod.setdefault("securityContext", {})
    if security.get("runAsNonRoot") and "runAsUser" not in security:
        security |= {"runAsUser": _USER, "fsGroup": security.get("fsGroup", _USER)}


def _mount(pod: Object, name: str) -> None:
    for volume, path, file in _MOUNTS:
        items = [{"key": f"tls.{end}", "path": f"{file}.{end}"} for end in ("crt", "key")]
        others = [each for each in pod.get("volumes", []) if each["name"] != volume]
        pod["volumes"] = [*others, {"name": volume, "secret": {"secretName": name, "items": items}}]
        for container in pod["containers"]:
            mounts = [
                each
                for each in container.get("volumeMounts", [])
                if each["name"] != volume and each["mountPath"] != path
            ]
            container["volumeMounts"] = [*mounts, {"name": volume, "mountPath": path}]


def webhook_configuration(csv: Object, webhook: Object, certificate: Certificate) -> Object:
    """The ValidatingWebhookConfiguration of one definition; the API server completes its name."""
    copied = ("rules", "failurePolicy", "matchPolicy", "objectSelector", "sideEffects", "timeoutSeconds")
    made = {name: webhook[name] for name in copied if name in webhook}
    labels = owner_labels(csv) | MANAGED | {"olm.webhook-description-generate-name": webhook["generateName"]}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"generateName": webhook["generateName"] + "-", "labels": labels},
        "webhooks": [
            {
                "name": webhook["generateName"],
                "admissionReviewVersions": webhook["admissionReviewVersions"],
                "clientConfig": _client(csv, webhook, certificate),
                **made,
            }
        ],
    }


def conversion(csv: Object, webhook: Object, certificate: Certificate) -> Object:
    """Who converts between versions, as a patch of the CustomResourceDefinitions that the definition names."""
    client = _client(csv, webhook, certificate)
    reviews = webhook["admissionReviewVersions"]
    found = {"strategy": "Webhook", "webhook": {"clientConfig": client, "conversionReviewVersions": reviews}}
    return {"spec": {"conversion": found}}


def _client(csv: Object, webhook: Object, certificate: Certificate) -> Object:
    return {
        "caBundle": base64.b64encode(certificate.authority).decode(),
        "service": {
            "name": service_name(webhook["deploymentName"]),
            "namespace": csv["metadata"]["namespace"],
            "path": webhook.get("webhookPath", "/"),
            "port": webhook.get("containerPort", _PORT),
        },
    }


def _meta(csv: Object, name: str) -> Object:
    return {
        "name": name,
        "namespace": csv["metadata"]["namespace"],
        "labels": dict(MANAGED),
        "ownerReferences": [owner_reference(csv)],
    }


def _digest(certificate: Certificate) -> str:
    return hashlib.sha256(certificate.authority).hexdigest()
