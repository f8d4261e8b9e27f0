"""The ClusterServiceVersion: what OLM installs, and what a console shows of it, made from the installation's manifests.

Source: operators.coreos.com/v1alpha1; OLM's "ClusterServiceVersion" and "webhooks" pages; spec/operator.md 7.2.
"""

from __future__ import annotations

import base64
import copy
import json
from typing import Any, Final

import yaml

from metallb.api.kinds import KINDS
from metallb.api.schema import Kind, object_schema
from metallb.api.v1beta1 import GROUP
from scripts.olm.descriptors import spec_descriptors, status_descriptors
from scripts.olm.names import PACKAGE, Release, service_version_name
from scripts.olm.source import PACKAGING, Object, Source, images, replaced

CERTIFICATES_BY_OLM: Final = "--disable-cert-rotation=true"
"""OLM makes the webhooks' certificates, mounts them and tells the API server whom to trust."""
CONTAINER_PORT: Final = 443
"""Of the Services that OLM makes for webhooks."""
_USERS: Final = ("runAsUser", "runAsGroup", "fsGroup")
_FEATURES: Final = "features.operators.openshift.io"
_NAMESPACE: Final = "metallb-system"


def service_version(source: Source, release: Release) -> Object:
    """The ClusterServiceVersion of a release."""
    console = yaml.safe_load((PACKAGING / "console.yaml").read_text())
    deployments = [_for_olm(each) for each in replaced(source.of("Deployment"), release.images)]
    related = images(deployments)
    return {
        "apiVersion": "operators.coreos.com/v1alpha1",
        "kind": "ClusterServiceVersion",
        "metadata": {
            "name": release.name,
            "namespace": "placeholder",
            "annotations": _annotations(console, release, deployments),
            "labels": {f"operatorframework.io/arch.{each}": "supported" for each in console["architectures"]}
            | {"operatorframework.io/os.linux": "supported"},
        },
        "spec": {
            "displayName": console["displayName"],
            "description": console["description"],
            "version": release.version,
            **({"replaces": service_version_name(release.replaces)} if release.replaces else {}),
            "maturity": console["maturity"],
            "minKubeVersion": console["minKubeVersion"],
            "provider": console["provider"],
            "keywords": console["keywords"],
            "links": console["links"],
            "icon": [icon()],
            # A conversion webhook serves the whole cluster: OLM takes it from an operator for all namespaces only.
            "installModes": [
                {"type": "OwnNamespace", "supported": False},
                {"type": "SingleNamespace", "supported": False},
                {"type": "MultiNamespace", "supported": False},
                {"type": "AllNamespaces", "supported": True},
            ],
            "customresourcedefinitions": {"owned": _owned(console["resources"])},
            "webhookdefinitions": [*_admission(source), *_conversion(source)],
            "install": {
                "strategy": "deployment",
                "spec": {
                    "permissions": _permissions(source, "Role"),
                    "clusterPermissions": _permissions(source, "ClusterRole"),
                    "deployments": [_deployment(each) for each in deployments],
                },
            },
            "relatedImages": [{"name": name, "image": image} for name, image in related.items()],
        },
    }


def icon() -> dict[str, str]:
    """The operator's picture."""
    data = (PACKAGING / "icon.svg").read_bytes()
    return {"base64data": base64.b64encode(data).decode(), "mediatype": "image/svg+xml"}


def examples() -> list[Object]:
    """An object of every kind and version."""
    return list(yaml.safe_load_all((PACKAGING / "examples.yaml").read_text()))


def _annotations(console: dict[str, Any], release: Release, deployments: list[Object]) -> dict[str, str]:
    manager = next(each for each in deployments if each["metadata"]["name"].startswith(PACKAGE + "-controller"))
    container = manager["spec"]["template"]["spec"]["containers"][0]
    features = {f"{_FEATURES}/{name}": json.dumps(value) for name, value in console["features"].items()}
    older = [name for name in ("disconnected",) if console["features"][name]]
    return {
        "alm-examples": json.dumps(examples(), indent=2),
        "capabilities": console["capabilities"],
        "categories": console["categories"],
        "certified": "false",
        "containerImage": container["image"],
        "createdAt": f"{release.date}T00:00:00Z",
        "description": console["summary"],
        **features,
        # The same for catalogs of before 4.14.
        "operators.openshift.io/infrastructure-features": json.dumps(older),
        "operatorframework.io/suggested-namespace": _NAMESPACE,
        # Offered by the console when it makes that namespace: metrics are then found by OpenShift's own monitoring.
        "operatorframework.io/cluster-monitoring": "true",
        "operatorframework.io/initialization-resource": json.dumps(examples()[0]),
        "support": console["provider"]["name"],
    }


def _for_olm(deployment: Object) -> Object:
    """A Deployment that takes its webhooks' certificate from OLM, and its user from image or namespace.

    OpenShift gives each namespace a range of users, and refuses pods that name one beyond it. OLM's Service for
    webhooks selects what the Deployment selects: by all labels, since operators of others have the first one, too.
    """
    made = copy.deepcopy(deployment)
    made["spec"]["selector"]["matchLabels"] = copy.deepcopy(made["spec"]["template"]["metadata"]["labels"])
    security = made["spec"]["template"]["spec"].get("securityContext", {})
    for name in _USERS:
        security.pop(name, None)
    for container in made["spec"]["template"]["spec"]["containers"]:
        container["args"] = [*container.get("args", []), CERTIFICATES_BY_OLM]
    return made


def _deployment(deployment: Object) -> Object:
    labels = deployment["metadata"].get("labels")
    return {
        "name": deployment["metadata"]["name"],
        **({"label": labels} if labels else {}),
        "spec": deployment["spec"],
    }


def _permissions(source: Source, kind: str) -> list[Object]:
    """Who may do what, by roles of a kind: in the operator's namespace, or in the whole cluster."""
    found: dict[str, list[Object]] = {}
    for binding in source.of(f"{kind}Binding"):
        if binding["roleRef"]["kind"] != kind:
            continue
        rules = source.named(kind, binding["roleRef"]["name"])["rules"]
        for subject in binding["subjects"]:
            found.setdefault(subject["name"], []).extend(rules)
    return [{"serviceAccountName": name, "rules": rules} for name, rules in sorted(found.items())]


def _admission(source: Source) -> list[Object]:
    made = []
    for configuration in source.of("ValidatingWebhookConfiguration"):
        for webhook in configuration["webhooks"]:
            service = webhook["clientConfig"]["service"]
            given = {
                name: webhook[name]
                for name in ("rules", "failurePolicy", "matchPolicy", "objectSelector", "timeoutSeconds")
                if name in webhook
            }
            made.append(
                {
                    "type": "ValidatingAdmissionWebhook",
                    "generateName": webhook["name"],
                    "admissionReviewVersions": webhook["admissionReviewVersions"],
                    "sideEffects": webhook["sideEffects"],
                    **_where(source, service["name"], service["path"]),
                    **given,
                }
            )
    return made


def _conversion(source: Source) -> list[Object]:
    return [
        {
            "type": "ConversionWebhook",
            "generateName": f"c{kind.plural}.{GROUP}",
            "admissionReviewVersions": list(kind.conversion.reviews),
            "sideEffects": "None",
            **_where(source, kind.conversion.service, kind.conversion.path),
            "conversionCRDs": [f"{kind.plural}.{GROUP}"],
        }
        for kind in KINDS
        if kind.conversion
    ]


def _where(source: Source, service: str, path: str) -> Object:
    found = source.named("Service", service)
    return {
        "deploymentName": source.deployment_behind(found)["metadata"]["name"],
        "containerPort": CONTAINER_PORT,
        "targetPort": found["spec"]["ports"][0]["targetPort"],
        "webhookPath": path,
    }


def _owned(resources: dict[str, list[Object]]) -> list[Object]:
    return [
        {
            "name": f"{kind.plural}.{GROUP}",
            "version": version,
            "kind": kind.name,
            "displayName": kind.name,
            "description": schema["description"],
            "resources": [{"name": "", **each} for each in resources[kind.name]],
            "specDescriptors": spec_descriptors(schema),
            "statusDescriptors": status_descriptors(schema),
        }
        for kind in sorted(KINDS, key=lambda each: each.plural)
        for version, schema in sorted(_schemas(kind).items())
    ]


def _schemas(kind: Kind) -> dict[str, Any]:
    served = {kind.version: object_schema(kind)}
    return served | {old.version: object_schema(old) for old in kind.old if old.served}
