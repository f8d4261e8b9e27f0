"""The bundle is made of the manifests, completely, and keeps the rules of OLM and opm."""

from __future__ import annotations

import copy
import json
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from scripts.olm import bundle, rules
from scripts.olm.descriptors import fields
from scripts.olm.names import Release, releases
from scripts.olm.source import PACKAGING, ROOT, Source

from metallb.api.kinds import KINDS
from metallb.api.schema import definition

Object = dict[str, Any]


def test_what_stands_in_the_repository_is_what_is_generated(files: dict[str, str]) -> None:
    stands = {
        str(path.relative_to(PACKAGING)): path.read_text()
        for folder in ("bundle", "catalog")
        for path in (PACKAGING / folder).rglob("*.yaml")
    }
    assert {path: text for path, text in files.items() if path.endswith(".yaml")} == stands, "run `make bundle`"
    for path in ("bundle.Dockerfile", "catalog.Dockerfile", "images.txt"):
        assert (PACKAGING / path).read_text() == files[path], "run `make bundle`"


def test_no_rule_is_broken(files: dict[str, str]) -> None:
    assert rules.broken(files) == []


def test_the_newest_release_is_the_project(csv: Object) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert (csv["metadata"]["name"], csv["spec"]["version"]) == (f"metallb-operator.v{version}", version)


def test_the_catalog_finds_it_by_keyword_and_by_the_filter_disconnected(csv: Object) -> None:
    annotations = csv["metadata"]["annotations"]
    assert "metallb" in csv["spec"]["keywords"]
    assert annotations["features.operators.openshift.io/disconnected"] == "true"
    assert json.loads(annotations["operators.openshift.io/infrastructure-features"]) == ["disconnected"]


def test_every_field_of_metallb_has_a_descriptor(csv: Object) -> None:
    owned = {(each["kind"], each["version"]): each for each in csv["spec"]["customresourcedefinitions"]["owned"]}
    for kind in KINDS:
        for version in definition(kind)["spec"]["versions"]:
            described = owned[kind.name, version["name"]]
            schema = version["schema"]["openAPIV3Schema"]
            for part, name in (("spec", "specDescriptors"), ("status", "statusDescriptors")):
                assert [each["path"] for each in described[name]] == [path for path, _ in fields(schema, part)]
                assert all(each["displayName"] and each["description"] for each in described[name])
    paths = {each["path"] for each in owned["MetalLB", "v1beta1"]["specDescriptors"]}
    assert {"logLevel", "controllerConfig.resources", "speakerConfig.affinity.podAffinity"} <= paths


def test_each_account_has_the_rights_that_it_has_without_olm(csv: Object, source: Source) -> None:
    """Roles of one account become one list; nothing is added, nothing lost."""
    install = csv["spec"]["install"]["spec"]
    for kind, field in (("Role", "permissions"), ("ClusterRole", "clusterPermissions")):
        granted = {each["serviceAccountName"]: each["rules"] for each in install[field]}
        expected: dict[str, list[Object]] = {}
        for binding in source.of(f"{kind}Binding"):
            (subject,) = binding["subjects"]
            expected.setdefault(subject["name"], []).extend(source.named(kind, binding["roleRef"]["name"])["rules"])
        assert granted == expected
        assert expected.keys() == {"controller", "manager-account", "speaker"}


def test_each_webhook_of_the_manifests_is_defined_once(csv: Object, source: Source) -> None:
    defined = {each["generateName"]: each for each in csv["spec"]["webhookdefinitions"]}
    expected = [each for one in source.of("ValidatingWebhookConfiguration") for each in one["webhooks"]]
    assert defined.keys() == {each["name"] for each in expected} | {"cbgppeers.metallb.io"}
    for webhook in expected:
        made = defined[webhook["name"]]
        assert made["webhookPath"] == webhook["clientConfig"]["service"]["path"]
        for field in ("rules", "failurePolicy", "sideEffects", "admissionReviewVersions", "timeoutSeconds"):
            assert made.get(field) == webhook.get(field)
    assert defined["cbgppeers.metallb.io"]["conversionCRDs"] == ["bgppeers.metallb.io"]
    assert {each["targetPort"] for each in defined.values()} == {9443}


def test_deployments_are_those_of_the_manifests_but_for_what_olm_asks_for(csv: Object, source: Source) -> None:
    """OLM makes certificates, and Services by the Deployment's selector, which must select nobody else's pods.

    OpenShift refuses users and groups that are not of the namespace's range.
    """
    made = {each["name"]: each for each in csv["spec"]["install"]["spec"]["deployments"]}
    for deployment in source.of("Deployment"):
        expected = copy.deepcopy(deployment["spec"])
        expected["template"]["spec"]["containers"][0]["args"].append("--disable-cert-rotation=true")
        expected["template"]["spec"]["securityContext"] = {"runAsNonRoot": True}
        expected["selector"] = {"matchLabels": expected["template"]["metadata"]["labels"]}
        assert {"app.kubernetes.io/name", "component"} & expected["selector"]["matchLabels"].keys()
        assert made.pop(deployment["metadata"]["name"])["spec"] == expected
    assert not made


def test_who_converts_is_not_decided_by_the_bundle_for_the_namespace_of_the_manifests(manifests: list[Object]) -> None:
    """OLM puts namespace and trusted CA in; until then a conversion fails, rather than losing fields."""
    crds = {each["metadata"]["name"]: each for each in manifests if each["kind"] == "CustomResourceDefinition"}
    service = crds["bgppeers.metallb.io"]["spec"]["conversion"]["webhook"]["clientConfig"]["service"]
    assert service["name"] == "metallb-operator-webhook-server-service"
    assert crds.keys() == {f"{kind.plural}.metallb.io" for kind in KINDS}


def test_a_bundle_is_made_the_same_twice(source: Source) -> None:
    release = releases()[-1]
    assert bundle.files(source, release) == bundle.files(Source.read(), release)


def test_another_image_by_digest_is_used_everywhere(source: Source) -> None:
    other = "registry.example/metallb/speaker@sha256:" + "0" * 64
    (image,) = {
        variable["value"]
        for each in source.of("Deployment")
        for variable in each["spec"]["template"]["spec"]["containers"][0]["env"]
        if variable["name"] == "SPEAKER_IMAGE"
    }
    made = bundle.files(source, Release("0.1.0", "2026-11-25", images={image: other}))
    text = made["bundle/manifests/metallb-operator.clusterserviceversion.yaml"]
    assert image not in text
    related = yaml.safe_load(text)["spec"]["relatedImages"]
    assert {"name": "speaker", "image": other} in related


def _drop(path: str) -> Callable[[Object], None]:
    def change(csv: Object) -> None:
        *above, last = path.split(".")
        for name in above:
            csv = csv[name]
        del csv[last]

    return change


def _set(path: str, value: Any) -> Callable[[Object], None]:
    def change(csv: Object) -> None:
        *above, last = path.split("/")
        for name in above:
            csv = csv[int(name)] if name.isdigit() else csv[name]
        csv[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_set("metadata/name", "MetalLB.v0.1.0"), "must be a name"),
        (_set("metadata/name", "metallb-operator.v9.9.9"), "must end in .v and spec.version"),
        (_set("spec/version", "1.2"), "no semantic version"),
        (_set("spec/minKubeVersion", "v1.26"), "spec.minKubeVersion"),
        (_set("spec/replaces", "metallb-operator.v0.1.0"), "replaces itself"),
        (_drop("spec.icon"), "spec.icon"),
        (_set("spec/icon/0/mediatype", "image/webp"), "mediatype"),
        (_set("spec/icon/0/base64data", "%%"), "no picture"),
        (_set("spec/links/0/url", "metallb"), "no URL"),
        (_set("spec/maintainers", [{"name": "one"}]), "no address"),
        (_set("metadata/annotations/categories", "Network"), "unknown"),
        (_set("metadata/annotations/capabilities", "All"), "capabilities"),
        (_set("metadata/annotations/olm.skiprange", ">=0"), "is written olm.skipRange"),
        (_set("metadata/annotations/alm-examples", "["), "alm-examples"),
        (_set("metadata/annotations/alm-examples", "[]"), "both an owned API and an example"),
        (_set("metadata/annotations/features.operators.openshift.io/disconnected", "yes"), "disconnected"),
        (_set("spec/installModes/0/supported", True), "AllNamespaces is the only one"),
        (_drop("spec.installModes"), "want each of"),
        (_set("spec/webhookdefinitions/0/deploymentName", "other"), "no deployment other"),
        (_set("spec/webhookdefinitions/0/sideEffects", "Some"), "sideEffects"),
        (_set("spec/webhookdefinitions/0/rules", []), "rules are missing"),
        (_set("spec/webhookdefinitions/1/generateName", "bgppeersvalidationwebhook.metallb.io"), "there twice"),
        (_set("spec/relatedImages/0/image", "metallb-py/UPPER"), "is no image"),
        (_set("spec/install/spec/deployments/0/spec/template/spec/serviceAccountName", "x"), "is granted nothing"),
        (_set("spec/customresourcedefinitions/owned/0/name", "others.metallb.io"), "both owned and served"),
        (_set("spec/customresourcedefinitions/owned/0/specDescriptors", []), "is missing"),
    ],
)
def test_a_broken_rule_is_told(
    manifests: list[Object], csv: Object, change: Callable[[Object], None], said: str, files: dict[str, str]
) -> None:
    # The annotation's name has slashes of its own.
    if said == "disconnected":
        csv["metadata"]["annotations"]["features.operators.openshift.io/disconnected"] = "yes"
    else:
        change(csv)
    annotations = yaml.safe_load(files["bundle/metadata/annotations.yaml"])["annotations"]
    found = rules.broken_in_bundle(manifests, annotations, files["bundle.Dockerfile"])
    assert any(said in each for each in found), found


def test_an_example_with_a_wrong_field_is_told(manifests: list[Object], csv: Object, files: dict[str, str]) -> None:
    annotations = csv["metadata"]["annotations"]
    examples = json.loads(annotations["alm-examples"])
    examples[0]["spec"] = {"logLevel": "loud", "nodeSelectors": {}}
    annotations["alm-examples"] = json.dumps(examples)
    found = rules.broken_in_bundle(
        manifests, yaml.safe_load(files["bundle/metadata/annotations.yaml"])["annotations"], files["bundle.Dockerfile"]
    )
    assert [("nodeSelectors" in each, "logLevel" in each) for each in found] == [(True, False), (False, True)]


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"kind": "NetworkPolicy", "metadata": {"name": "x"}}, "takes no such kind"),
        ({"kind": "Service", "metadata": {"name": "x", "namespace": "y"}}, "decides about the namespace"),
        ({"kind": "ServiceAccount", "metadata": {"name": "speaker"}}, "OLM makes it"),
        ({"kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"x": "x" * (1 << 20)}}, "larger than"),
        ({"kind": "ClusterServiceVersion", "metadata": {"name": "x"}}, "one ClusterServiceVersion"),
    ],
)
def test_an_object_that_has_no_place_in_a_bundle_is_told(
    manifests: list[Object], files: dict[str, str], extra: Object, said: str
) -> None:
    annotations = yaml.safe_load(files["bundle/metadata/annotations.yaml"])["annotations"]
    found = rules.broken_in_bundle([*manifests, extra], annotations, files["bundle.Dockerfile"])
    assert any(said in each for each in found), found


def test_labels_of_the_image_that_differ_are_told(manifests: list[Object]) -> None:
    found = rules.broken_in_bundle(manifests, bundle.labels() | {"more": "than the image says"}, bundle._dockerfile())
    assert found == ["bundle.Dockerfile: the label more differs from the annotation"]


def test_openshifts_prometheus_may_find_the_metrics(manifests: list[Object]) -> None:
    (role,) = [each for each in manifests if each["kind"] == "Role"]
    (binding,) = [each for each in manifests if each["kind"] == "RoleBinding"]
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert [each["namespace"] for each in binding["subjects"]] == ["openshift-monitoring"]
