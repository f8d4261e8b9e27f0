"""Single manifest, Helm chart and overlays: made of the manifests, complete, and as good as what they are made of."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from scripts.install import chart, single
from scripts.install.marks import Marks
from scripts.olm.source import MANIFESTS, PACKAGING, ROOT, Source, images

Object = dict[str, Any]
Key = tuple[str, str]
OVERLAYS = PACKAGING / "kustomize"
BACKENDS = ("native", "frr", "frr-k8s")


def _tool(name: str) -> str:
    own = {"kubectl": ROOT / ".tools" / "kubectl-1.35" / "kubectl", "helm": ROOT / ".tools" / "bin" / "helm"}[name]
    found = str(own) if own.exists() else shutil.which(name)
    if not found:
        pytest.skip(f"there is no {name}")
    return found


def _run(*argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run([_tool(argv[0]), *argv[1:]], capture_output=True, text=True, check=check)


def _rendered(*given: str) -> dict[Key, Object]:
    return _by_name(_run("helm", "template", "release", str(chart.CHART), "-n", "metallb-system", *given).stdout)


def _by_name(text: str) -> dict[Key, Object]:
    return {(each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(text) if each}


def _kustomized(folder: Path) -> dict[Key, Object]:
    return _by_name(_kustomization(folder))


@functools.cache
def _kustomization(folder: Path) -> str:
    return _run("kubectl", "kustomize", str(folder)).stdout


def _plain(each: Object) -> Object:
    """Without what Helm charts add to every object."""
    made: Object = json.loads(json.dumps(each))
    labels = made["metadata"].get("labels", {})
    for name in ("app.kubernetes.io/part-of", "app.kubernetes.io/instance", "app.kubernetes.io/managed-by"):
        labels.pop(name, None)
    labels.pop("helm.sh/chart", None)
    if not labels:
        made["metadata"].pop("labels", None)
    return made


@pytest.fixture
def values_file(tmp_path: Path) -> Callable[[Object], str]:
    def write(values: Object) -> str:
        path = tmp_path / "values.yaml"
        path.write_text(yaml.safe_dump(values))
        return f"--values={path}"

    return write


def test_what_stands_in_the_repository_is_what_is_generated(source: Source) -> None:
    made = chart.files(source)
    assert {name: (chart.CHART / name).read_text() for name in made} == made, "run `make chart`"
    stands = [each for each in (chart.CHART / "templates").rglob("*.yaml") if each.read_text().startswith(chart.NOTE)]
    assert {str(each.relative_to(chart.CHART)) for each in stands} <= made.keys(), "run `make chart`"
    assert (PACKAGING / single.NAME).read_text() == single.text(source), "run `make chart`"


def test_the_single_manifest_is_what_kubectl_makes_of_the_folder(source: Source) -> None:
    assert _by_name(single.text(source)) == _kustomized(MANIFESTS)


def test_the_chart_with_its_own_values_is_the_single_manifest(source: Source) -> None:
    """But for the namespace, which Helm makes, for labels, and for what the operator is told that is its default."""
    rendered = {key: _plain(each) for key, each in _rendered().items()}
    expected = {key: each for key, each in _by_name(single.text(source)).items() if key[0] != "Namespace"}
    assert rendered.keys() == expected.keys()
    manager = ("Deployment", "metallb-operator-controller-manager")
    for made, wanted in ((rendered[key], expected[key]) for key in expected):
        if (made["kind"], made["metadata"]["name"]) == manager:
            (container,) = made["spec"]["template"]["spec"]["containers"]
            container["args"].remove("--log-level=info")
            usual = {"METRICS_PORT": "9120", "MEMBER_LIST_BIND_PORT": "7946", "OPERAND_LIVENESS_PORT": "17472"}
            container["env"] = [each for each in container["env"] if usual.get(each["name"]) != each.get("value", 0)]
        assert made == wanted


def test_helm_finds_nothing_to_say_about_the_chart() -> None:
    said = _run("helm", "lint", "--strict", str(chart.CHART), check=False)
    assert (said.returncode, "WARNING" in said.stdout) == (0, False), said.stdout + said.stderr


def test_chart_and_project_have_one_version_and_its_images_are_those_of_the_manifests(source: Source) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    about = yaml.safe_load((chart.CHART / "Chart.yaml").read_text())
    assert about["version"] == about["appVersion"] == version
    assert yaml.safe_load((chart.CHART / "values.yaml").read_text())["images"] == chart.image_values(source)


def test_every_value_is_known_to_the_schema_and_every_value_of_the_schema_has_a_default(source: Source) -> None:
    values = yaml.safe_load((chart.CHART / "values.yaml").read_text())
    schema = chart.values_schema(source)
    jsonschema.validate(values, schema)

    def agree(given: Object, rules: Object, path: str) -> None:
        assert given.keys() == rules.keys() - {"global"}, path
        for name, value in given.items():
            closed = rules[name].get("properties", {})
            if isinstance(value, dict) and value and name != "resources":
                agree(value, closed, f"{path}.{name}")

    agree(values, schema["properties"], "")


def test_all_the_values_reach_the_objects(values_file: Callable[[Object], str]) -> None:
    toleration = {"key": "infra", "operator": "Exists", "effect": "NoSchedule"}
    pods = {
        "replicas": 2,
        "logLevel": "debug",
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}},
        "nodeSelector": {"infra": "yes"},
        "tolerations": [toleration],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "high",
        "runtimeClassName": "mine",
        "podAnnotations": {"a": "b"},
    }
    given = {
        "images": {
            name: f"registry.example/{name}@sha256:{'0' * 64}" for name in ("operator", "controller", "speaker")
        },
        "imagePullSecrets": [{"name": "pull"}],
        "metallb": {"create": True, "spec": {"logLevel": "warn", "speakerConfig": {"priorityClassName": "high"}}},
        "crds": {"keep": True},
        "operator": {**pods, "env": [{"name": "FRR_METRICS_PORT", "value": "9999"}]},
        "webhookServer": pods,
        "monitoring": "podMonitors",
        "ports": {"metrics": 7472, "memberlist": 7777, "liveness": 7473},
        "networkPolicies": {"enabled": True, "apiServerPort": 16443},
        "tls": {"minVersion": "VersionTLS12", "cipherSuites": ["TLS_A", "TLS_B"], "curvePreferences": [29]},
        "serviceAccounts": {"annotations": {"speaker": {"role": "x"}}},
    }
    made = _rendered(values_file(given))
    for name, section in (("controller-manager", "operator"), ("webhook-server", "controller")):
        spec = made["Deployment", f"metallb-operator-{name}"]["spec"]
        pod = spec["template"]["spec"]
        (container,) = pod["containers"]
        assert (spec["replicas"], spec["template"]["metadata"]["annotations"]) == (2, {"a": "b"})
        assert pod["nodeSelector"] == {"kubernetes.io/os": "linux", "infra": "yes"}
        assert (pod["tolerations"], pod["affinity"]) == ([toleration], {"nodeAffinity": {}})
        assert (pod["priorityClassName"], pod["runtimeClassName"]) == ("high", "mine")
        assert container["resources"] == pods["resources"]
        assert "--log-level=debug" in container["args"]
        assert container["image"] == given["images"][section]  # type: ignore[index]  # of the literal above
    manager = made["Deployment", "metallb-operator-controller-manager"]["spec"]["template"]["spec"]["containers"][0]
    told = {each["name"]: each.get("value") for each in manager["env"]}
    assert (
        told.items()
        >= {
            "SPEAKER_IMAGE": f"registry.example/speaker@sha256:{'0' * 64}",
            "METRICS_PORT": "7472",
            "MEMBER_LIST_BIND_PORT": "7777",
            "OPERAND_LIVENESS_PORT": "7473",
            "DEPLOY_PODMONITORS": "true",
            "API_SERVER_PORT": "16443",
            "TLS_MIN_VERSION": "VersionTLS12",
            "TLS_CIPHER_SUITES": "TLS_A,TLS_B",
            "TLS_CURVE_PREFERENCES": "29",
            "FRR_METRICS_PORT": "9999",
        }.items()
    )
    assert not {"DEPLOY_SERVICEMONITORS", "DISABLE_NETWORK_POLICIES"} & told.keys()
    assert made["MetalLB", "metallb"]["spec"] == given["metallb"]["spec"]  # type: ignore[index]  # of the literal above
    assert made["ServiceAccount", "speaker"]["metadata"]["annotations"] == {"role": "x"}
    assert made["ServiceAccount", "speaker"]["imagePullSecrets"] == [{"name": "pull"}]
    assert ("Secret", "metrics-token") in made
    for policy in ("operator", "webhook-service"):
        ports = made["NetworkPolicy", policy]["spec"]["egress"][0]["ports"]
        assert {"port": 16443, "protocol": "TCP"} in ports
    for (kind, _), each in made.items():
        kept = each["metadata"].get("annotations", {}).get("helm.sh/resource-policy")
        assert kept == ("keep" if kind == "CustomResourceDefinition" else None)


@pytest.mark.parametrize(("backend", "judged_as"), [("", "native"), ("frr", "frr"), ("frr-k8s-external", "frr-k8s")])
def test_the_webhook_server_judges_by_the_backend_of_the_values(backend: str, judged_as: str) -> None:
    server = _rendered(f"--set=metallb.spec.bgpBackend={backend}")["Deployment", "metallb-operator-webhook-server"]
    told = server["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "METALLB_BGP_TYPE", "value": judged_as} in told


def test_parts_can_be_left_to_others(values_file: Callable[[Object], str]) -> None:
    off = {
        "crds": {"install": False},
        "rbac": {"create": False},
        "serviceAccounts": {"create": False},
        "networkPolicies": {"enabled": False},
    }
    made = _rendered(values_file(off))
    assert {kind for kind, _ in made} == {"Secret", "Service", "Deployment", "ValidatingWebhookConfiguration"}
    assert "DISABLE_NETWORK_POLICIES" in str(made["Deployment", "metallb-operator-controller-manager"])


def test_a_release_elsewhere_names_no_namespace_of_before() -> None:
    text = _run("helm", "template", "release", str(chart.CHART), "-n", "elsewhere").stdout
    for key, each in _by_name(text).items():
        assert each["metadata"].get("namespace", "elsewhere") == "elsewhere", key
        for subject in each.get("subjects", []):
            assert subject["namespace"] == "elsewhere"
    assert "namespace: metallb-system" not in text


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("metallb.spec.bgpBackEnd=frr", "'/metallb/spec': additional properties 'bgpBackEnd' not allowed"),
        ("metallb.spec.bgpBackend=bird", "'/metallb/spec/bgpBackend': value must be one of"),
        ("metallb.spec.logLevel=loud", "'/metallb/spec/logLevel': value must be one of"),
        ("images.operator=metallb-py/operator", "'/images/operator': 'metallb-py/operator' does not match pattern"),
        ("operator.replicas=0", "'/operator/replicas': minimum: got 0, want 1"),
        ("operator.replica=2", "'/operator': additional properties 'replica' not allowed"),
        ("monitoring=all", "'/monitoring': value must be one of"),
        ("ports.metrics=99999", "'/ports/metrics': maximum: got 99,999, want 65,535"),
        ("tls.minVersion=1.2", "'/tls/minVersion': value must be one of"),
        ("serviceAccounts.annotations.frr.a=b", "additional properties 'frr' not allowed"),
    ],
)
def test_bad_values_are_refused_with_their_place(given: str, says: str) -> None:
    done = _run("helm", "template", "release", str(chart.CHART), "--set", given, check=False)
    assert done.returncode != 0
    assert says in done.stderr


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_overlay_differs_from_the_manifests_by_its_backend_only(backend: str) -> None:
    made, expected = _kustomized(OVERLAYS / backend), _kustomized(MANIFESTS)
    server = ("Deployment", "metallb-operator-webhook-server")
    (container,) = expected[server]["spec"]["template"]["spec"]["containers"]
    next(each for each in container["env"] if each["name"] == "METALLB_BGP_TYPE")["value"] = backend
    assert made.keys() == expected.keys()
    changed = {each["name"]: each for each in made[server]["spec"]["template"]["spec"]["containers"][0].pop("env")}
    assert changed == {each["name"]: each for each in container.pop("env")}
    assert made == expected
    resource = yaml.safe_load((OVERLAYS / backend / "metallb.yaml").read_text())
    assert resource["spec"] == {"bgpBackend": backend}


def test_the_component_for_monitoring_goes_with_every_overlay(tmp_path: Path) -> None:
    for backend in BACKENDS:
        overlay = tmp_path / backend
        overlay.mkdir()
        paths = {
            "resources": [_from(overlay, OVERLAYS / backend)],
            "components": [_from(overlay, OVERLAYS / "monitoring")],
        }
        (overlay / "kustomization.yaml").write_text(yaml.safe_dump(paths))
        manager = _kustomized(overlay)["Deployment", "metallb-operator-controller-manager"]
        told = manager["spec"]["template"]["spec"]["containers"][0]["env"]
        assert {"name": "DEPLOY_SERVICEMONITORS", "value": "true"} in told


def _from(folder: Path, target: Path) -> str:
    return os.path.relpath(target, folder)


def test_every_image_can_come_from_a_mirror_by_kustomize_and_by_helm(
    source: Source, values_file: Callable[[Object], str]
) -> None:
    expected = {f"registry.example/metallb/{name}:{_tag(each)}" for name, each in chart.image_values(source).items()}
    assert set(images(list(_kustomized(OVERLAYS / "mirror").values())).values()) == expected
    mirrored = {each.rpartition("/")[2].partition(":")[0]: each for each in expected}
    assert set(images(list(_rendered(values_file({"images": mirrored})).values())).values()) == expected
    listed = set((PACKAGING / "images.txt").read_text().split())
    assert set(chart.image_values(source).values()) <= listed


def _tag(image: str) -> str:
    return image.rpartition(":")[2]


def test_braces_of_a_document_stay_braces() -> None:
    marks = Marks()
    made = marks.text({"description": "{{ $labels.pod }}", "name": marks.value("{{ .Release.Name }}")})
    assert made == "description: '{{ \"{{\" }} $labels.pod }}'\nname: {{ .Release.Name }}\n"
