"""What OLM, opm and the catalogs' reviewers refuse, as far as it can be seen in the files.

Source: operator-framework/api `pkg/validation` (what `operator-sdk bundle validate --select-optional
suite=operatorframework` runs); operator-registry `alpha/declcfg` and `alpha/model` (what `opm validate` runs);
OLM `pkg/controller/install` (webhooks); Kubernetes' names.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from email.utils import parseaddr
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from metallb.api.check import check, prune
from scripts.olm import catalog_rules
from scripts.olm.catalog_rules import IMAGE, SEMVER

Object = dict[str, Any]

_LABEL: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_LONGEST_LABEL: Final = 63
_CAPABILITIES: Final = ("Basic Install", "Seamless Upgrades", "Full Lifecycle", "Deep Insights", "Auto Pilot")
_CATEGORIES: Final = (
    "AI/Machine Learning",
    "Application Runtime",
    "Big Data",
    "Cloud Provider",
    "Database",
    "Developer Tools",
    "Integration & Delivery",
    "Logging & Tracing",
    "Modernization & Migration",
    "Monitoring",
    "Networking",
    "OpenShift Optional",
    "Security",
    "Storage",
    "Streaming & Messaging",
)
_PICTURES: Final = ("image/gif", "image/jpeg", "image/png", "image/svg+xml")
_UNTOUCHABLE: Final = frozenset({"*", "operators.coreos.com", "admissionregistration.k8s.io"})
_MODES: Final = ("OwnNamespace", "SingleNamespace", "MultiNamespace", "AllNamespaces")
_SUPPORTED_KINDS: Final = frozenset(
    {
        "ClusterServiceVersion",
        "CustomResourceDefinition",
        "Secret",
        "ClusterRole",
        "ClusterRoleBinding",
        "ConfigMap",
        "ServiceAccount",
        "Service",
        "Role",
        "RoleBinding",
        "PrometheusRule",
        "ServiceMonitor",
        "PodDisruptionBudget",
        "PriorityClass",
        "VerticalPodAutoscaler",
        "ConsoleYAMLSample",
        "ConsoleQuickStart",
        "ConsoleCLIDownload",
        "ConsoleLink",
    }
)
"""Kinds that OLM takes from bundles since OpenShift 4.8."""
_LARGEST_BUNDLE: Final = 1 << 20
_LARGEST_PORT: Final = 65535
_LONGEST_TIMEOUT_S: Final = 30
_WRITTEN: Final = {"olm.skiprange": "olm.skipRange", "olm.operatorgroup": "olm.operatorGroup"}
_FEATURES: Final = "features.operators.openshift.io/"
_REQUIRED_FEATURES: Final = (
    "disconnected",
    "fips-compliant",
    "proxy-aware",
    "tls-profiles",
    "token-auth-aws",
    "token-auth-azure",
    "token-auth-gcp",
)
_ANNOTATIONS: Final = "operators.operatorframework.io.bundle."


def broken(files: Mapping[str, str]) -> list[str]:
    """The rules that a bundle and a catalog break, as sentences; none if they are right."""
    manifests = [yaml.safe_load(text) for path, text in files.items() if path.startswith("bundle/manifests/")]
    annotations = yaml.safe_load(files["bundle/metadata/annotations.yaml"])["annotations"]
    catalogs = [text for path, text in files.items() if path.startswith("catalog/")]
    documents = [each for text in catalogs for each in yaml.safe_load_all(text) if each]
    return [
        *broken_in_bundle(manifests, annotations, files.get("bundle.Dockerfile", "")),
        *(problem for text in catalogs for problem in catalog_rules.broken_text(text)),
        *catalog_rules.broken(documents),
    ]


def broken_in_bundle(manifests: Sequence[Object], annotations: Mapping[str, str], dockerfile: str) -> list[str]:
    """The rules that a bundle breaks."""
    versions = [each for each in manifests if each["kind"] == "ClusterServiceVersion"]
    if len(versions) != 1:
        return [f"a bundle has one ClusterServiceVersion, not {len(versions)}"]
    csv = versions[0]
    return [
        *_names(csv),
        *_page(csv),
        *_features(csv),
        *_install_modes(csv),
        *_owned(csv, manifests),
        *_descriptors(csv, manifests),
        *_examples(csv, manifests),
        *_webhooks(csv),
        *_accounts(csv, manifests),
        *_images(csv),
        *_objects(manifests),
        *_metadata(annotations, dockerfile),
    ]


def _names(csv: Object) -> Iterator[str]:
    name, spec = csv["metadata"]["name"], csv["spec"]
    for text in filter(None, (name, spec.get("replaces"))):
        if not _SUBDOMAIN.fullmatch(text) or len(text) > _LONGEST_LABEL:
            yield f"{text}: must be a name and a label's value: lower case, at most {_LONGEST_LABEL} characters"
    for field in ("version", "minKubeVersion"):
        if not SEMVER.fullmatch(str(spec.get(field, ""))):
            yield f"spec.{field}: {spec.get(field)!r} is no semantic version"
    if not name.endswith(f".v{spec.get('version')}"):
        yield f"{name}: must end in .v and spec.version"
    if spec.get("replaces") == name:
        yield f"{name} replaces itself"


def _page(csv: Object) -> Iterator[str]:
    spec, annotations = csv["spec"], csv["metadata"]["annotations"]
    for field in ("displayName", "description", "keywords", "maturity", "links", "icon"):
        if not spec.get(field):
            yield f"spec.{field}: is missing"
    if not spec.get("provider", {}).get("name"):
        yield "spec.provider.name: is missing"
    yield from _people(spec)
    if len(spec.get("icon", [])) != 1:
        yield "spec.icon: want one"
    for picture in spec.get("icon", []):
        yield from _picture(picture)
    yield from _page_annotations(annotations)


def _page_annotations(annotations: Mapping[str, str]) -> Iterator[str]:
    if annotations.get("capabilities") not in _CAPABILITIES:
        yield f"annotation capabilities: want one of {', '.join(_CAPABILITIES)}"
    for category in annotations.get("categories", "").split(","):
        if category.strip() not in _CATEGORIES:
            yield f"annotation categories: {category!r} is unknown"
    for name in annotations:
        right = _WRITTEN.get(name.lower(), name)
        if name != right:
            yield f"annotation {name}: is written {right}"


def _people(spec: Object) -> Iterator[str]:
    for link in spec.get("links", []):
        if not link.get("name") or not urlsplit(link.get("url", "")).netloc:
            yield f"spec.links: {link} has no name or no URL"
    for each in spec.get("maintainers", []):
        if not each.get("name") or "@" not in parseaddr(each.get("email", ""))[1]:
            yield f"spec.maintainers: {each} has no name or no address"


def _picture(picture: Mapping[str, str]) -> Iterator[str]:
    if picture.get("mediatype") not in _PICTURES:
        yield f"spec.icon: mediatype must be one of {', '.join(_PICTURES)}"
    try:
        data = base64.b64decode(picture.get("base64data", ""), validate=True)
    except binascii.Error:
        data = b""
    if not data:
        yield "spec.icon: base64data is no picture"


def _features(csv: Object) -> Iterator[str]:
    annotations = csv["metadata"]["annotations"]
    for name in _REQUIRED_FEATURES:
        if annotations.get(_FEATURES + name) not in ("true", "false"):
            yield f'annotation {_FEATURES}{name}: want "true" or "false"'


def _install_modes(csv: Object) -> Iterator[str]:
    modes = [(each["type"], each["supported"]) for each in csv["spec"].get("installModes", [])]
    if sorted(name for name, _ in modes) != sorted(_MODES):
        yield f"spec.installModes: want each of {', '.join(_MODES)} once"
    supported = [name for name, is_supported in modes if is_supported]
    if not supported:
        yield "spec.installModes: none is supported"
    converts = any(each.get("conversionCRDs") for each in csv["spec"].get("webhookdefinitions", []))
    if converts and supported != ["AllNamespaces"]:
        yield "spec.installModes: with a conversion webhook AllNamespaces is the only one"


def _definitions(manifests: Sequence[Object]) -> dict[str, Object]:
    return {each["metadata"]["name"]: each for each in manifests if each["kind"] == "CustomResourceDefinition"}


def _schemas(manifests: Sequence[Object]) -> dict[tuple[str, str], Object]:
    return {
        (name, version["name"]): version["schema"]["openAPIV3Schema"]
        for name, each in _definitions(manifests).items()
        for version in each["spec"]["versions"]
    }


def _owned(csv: Object, manifests: Sequence[Object]) -> Iterator[str]:
    owned = csv["spec"]["customresourcedefinitions"]["owned"]
    keys = [(each["name"], each["version"]) for each in owned]
    if len(set(keys)) != len(keys):
        yield "spec.customresourcedefinitions.owned: one is there twice"
    served = {
        (name, version["name"])
        for name, each in _definitions(manifests).items()
        for version in each["spec"]["versions"]
        if version["served"]
    }
    for name, version in sorted(set(keys) ^ served):
        yield f"{name} {version}: must be both owned and served by a CRD of the bundle"
    for each in owned:
        for field in ("kind", "displayName", "description", "resources"):
            if not each.get(field):
                yield f"owned {each['name']}: {field} is missing"


def _descriptors(csv: Object, manifests: Sequence[Object]) -> Iterator[str]:
    schemas = _schemas(manifests)
    for each in csv["spec"]["customresourcedefinitions"]["owned"]:
        schema = schemas.get((each["name"], each["version"]), {})
        for part, field in (("spec", "specDescriptors"), ("status", "statusDescriptors")):
            top = schema.get("properties", {}).get(part, {})
            paths = [descriptor["path"] for descriptor in each.get(field, [])]
            if len(set(paths)) != len(paths):
                yield f"{each['name']} {field}: a path is there twice"
            for path in paths:
                if not _has(top, path.split(".")):
                    yield f"{each['name']} {field}: {path} is no field of {part}"
            for name in top.get("properties", {}):
                if name not in paths:
                    yield f"{each['name']} {field}: {name} is missing"


def _has(schema: Object, path: Sequence[str]) -> bool:
    for name in path:
        if name not in schema.get("properties", {}):
            return False
        schema = schema["properties"][name]
    return True


def _examples(csv: Object, manifests: Sequence[Object]) -> Iterator[str]:
    try:
        examples = json.loads(csv["metadata"]["annotations"]["alm-examples"])
    except (KeyError, ValueError) as error:
        yield f"annotation alm-examples: {error}"
        return
    kinds = {
        (f"{each['spec']['group']}/{version['name']}", each["spec"]["names"]["kind"]): version["schema"]
        for each in _definitions(manifests).values()
        for version in each["spec"]["versions"]
        if version["served"]
    }
    seen = [(each["apiVersion"], each["kind"]) for each in examples]
    for key in sorted(set(seen) ^ set(kinds)):
        yield f"annotation alm-examples: {' '.join(key)} must be both an owned API and an example"
    for each in examples:
        schema = kinds.get((each["apiVersion"], each["kind"]), {}).get("openAPIV3Schema")
        if schema:
            pruned = prune(schema, {name: value for name, value in each.items() if name != "metadata"})
            for problem in [*pruned.unknown, *check(schema, pruned.value)]:
                yield f"annotation alm-examples: {each['kind']} {each['metadata']['name']}: {problem}"


def _webhooks(csv: Object) -> Iterator[str]:
    spec = csv["spec"]
    deployments = {each["name"] for each in spec["install"]["spec"]["deployments"]}
    owned = {each["name"] for each in spec["customresourcedefinitions"]["owned"]}
    names = [each["generateName"] for each in spec.get("webhookdefinitions", [])]
    if len(set(names)) != len(names):
        yield "spec.webhookdefinitions: a generateName is there twice"
    for each in spec.get("webhookdefinitions", []):
        for problem in _broken_webhook(each, deployments, owned):
            yield f"webhook {each['generateName']}: {problem}"


def _broken_webhook(webhook: Object, deployments: set[str], owned: set[str]) -> Iterator[str]:
    if not _SUBDOMAIN.fullmatch(webhook["generateName"]):
        yield "generateName is no name"
    if webhook.get("deploymentName") not in deployments:
        yield f"there is no deployment {webhook.get('deploymentName')}"
    if not 1 <= webhook.get("containerPort", 443) <= _LARGEST_PORT:
        yield "containerPort is no port"
    if not webhook.get("admissionReviewVersions") or "v1" not in webhook["admissionReviewVersions"]:
        yield "admissionReviewVersions must have v1"
    if not webhook.get("webhookPath", "").startswith("/"):
        yield "webhookPath must start with /"
    if webhook.get("timeoutSeconds", 10) > _LONGEST_TIMEOUT_S:
        yield f"timeoutSeconds must be at most {_LONGEST_TIMEOUT_S}"
    if webhook["type"] == "ConversionWebhook":
        if not webhook.get("conversionCRDs") or not set(webhook["conversionCRDs"]) <= owned:
            yield "conversionCRDs must be owned"
        return
    yield from _broken_admission(webhook)


def _broken_admission(webhook: Object) -> Iterator[str]:
    if webhook["type"] not in ("ValidatingAdmissionWebhook", "MutatingAdmissionWebhook"):
        yield f"type {webhook['type']} is unknown"
    if webhook.get("sideEffects") not in ("None", "NoneOnDryRun"):
        yield "sideEffects must be None or NoneOnDryRun"
    if not webhook.get("rules"):
        yield "rules are missing"
    for rule in webhook.get("rules", []):
        # OLM refuses webhooks that could stop OLM itself.
        if "*" in rule["apiGroups"] or {"operators.coreos.com", "admissionregistration.k8s.io"} & set(
            rule["apiGroups"]
        ):
            yield "rules must not be about all groups, OLM's or webhooks"


def _accounts(csv: Object, manifests: Sequence[Object]) -> Iterator[str]:
    install = csv["spec"]["install"]
    if install["strategy"] != "deployment":
        yield "spec.install.strategy: want deployment"
    granted = {
        each["serviceAccountName"] for field in ("permissions", "clusterPermissions") for each in install["spec"][field]
    }
    for deployment in install["spec"]["deployments"]:
        account = deployment["spec"]["template"]["spec"].get("serviceAccountName")
        if account not in granted:
            yield f"deployment {deployment['name']}: its account {account} is granted nothing"
    for each in manifests:
        if each["kind"] == "ServiceAccount" and each["metadata"]["name"] in granted:
            yield f"ServiceAccount {each['metadata']['name']}: OLM makes it"


def _images(csv: Object) -> Iterator[str]:
    related = [each.get("image", "") for each in csv["spec"].get("relatedImages", [])]
    if len(set(related)) != len(related):
        yield "spec.relatedImages: one is there twice"
    for image in related:
        if not IMAGE.fullmatch(image):
            yield f"spec.relatedImages: {image!r} is no image"


def _objects(manifests: Sequence[Object]) -> Iterator[str]:
    for each in manifests:
        if each["kind"] not in _SUPPORTED_KINDS:
            yield f"{each['kind']} {each['metadata']['name']}: OLM takes no such kind from a bundle"
        if each["kind"] != "ClusterServiceVersion" and each["metadata"].get("namespace"):
            yield f"{each['kind']} {each['metadata']['name']}: OLM decides about the namespace"
        if each["kind"] == "CustomResourceDefinition":
            yield from _definition(each)
    if len(json.dumps(list(manifests))) > _LARGEST_BUNDLE:
        yield f"the bundle is larger than {_LARGEST_BUNDLE} bytes"


def _definition(crd: Object) -> Iterator[str]:
    name, spec = crd["metadata"]["name"], crd["spec"]
    if crd["apiVersion"] != "apiextensions.k8s.io/v1":
        yield f"{name}: want apiextensions.k8s.io/v1"
    if name != f"{spec['names']['plural']}.{spec['group']}":
        yield f"{name}: must be plural.group"
    if sum(each["storage"] for each in spec["versions"]) != 1:
        yield f"{name}: one version is stored"
    if spec.get("preserveUnknownFields"):
        yield f"{name}: preserveUnknownFields must be false"
    conversion = spec.get("conversion", {})
    if conversion.get("strategy") == "Webhook" and not conversion["webhook"].get("conversionReviewVersions"):
        yield f"{name}: conversionReviewVersions are missing"
    for version in spec["versions"]:
        if not version.get("schema", {}).get("openAPIV3Schema"):
            yield f"{name} {version['name']}: has no schema"


def _metadata(annotations: Mapping[str, str], dockerfile: str) -> Iterator[str]:
    wanted = {
        "mediatype.v1": "registry+v1",
        "manifests.v1": "manifests/",
        "metadata.v1": "metadata/",
    }
    for name, value in wanted.items():
        if annotations.get(_ANNOTATIONS + name) != value:
            yield f"metadata/annotations.yaml: {_ANNOTATIONS}{name} must be {value}"
    channels = annotations.get(_ANNOTATIONS + "channels.v1", "").split(",")
    if not annotations.get(_ANNOTATIONS + "package.v1") or not all(channels):
        yield "metadata/annotations.yaml: package or channels are missing"
    if annotations.get(_ANNOTATIONS + "channel.default.v1", channels[0]) not in channels:
        yield "metadata/annotations.yaml: the default channel is none of the channels"
    for name, value in annotations.items():
        if f"LABEL {name}={value}\n" not in dockerfile:
            yield f"bundle.Dockerfile: the label {name} differs from the annotation"
