"""What kind of cluster it is: OpenShift by its API group, and TLS as its administrator wants it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

from metallb.kube.errors import ApiError, ForbiddenError, NotFoundError, UnavailableError
from metallb.kube.tls import CIPHERS, VERSIONS, TlsSettings
from metallb.operator import discovery
from metallb.operator.main import installation_of, kinds_of, tls_of
from metallb.operator.platform import ApiServer, Group, TlsProfile, is_openshift, tls_profile
from metallb.operator.settings import OperatorSettings

IANA = {openssl: name for name, openssl in CIPHERS.items()}
MODERN_SUITES = (
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
)
SETTINGS = OperatorSettings(namespace="ns", controller_image="c", speaker_image="s")


def server(profile: dict[str, Any] | None) -> ApiServer:
    return msgspec.convert({"spec": {"tlsSecurityProfile": profile}}, ApiServer)


def profile_of(profile: dict[str, Any] | None) -> TlsProfile:
    return tls_profile(server(profile), IANA, VERSIONS)


@pytest.mark.parametrize(
    ("groups", "expected"),
    [(("apps", "route.openshift.io"), True), (("apps", "config.openshift.io"), False), ((), False)],
)
def test_openshift_is_known_by_its_routes(groups: tuple[str, ...], *, expected: bool) -> None:
    assert is_openshift([Group(each) for each in groups]) is expected


@pytest.mark.parametrize(
    ("profile", "minimum"),
    [
        (None, "VersionTLS12"),
        ({"type": "Intermediate", "intermediate": {}}, "VersionTLS12"),
        ({"type": "Modern", "modern": {}}, "VersionTLS13"),
        ({"type": "Custom", "custom": {"minTLSVersion": "VersionTLS13"}}, "VersionTLS13"),
        # Older than we speak.
        ({"type": "Old", "old": {}}, "VersionTLS12"),
        ({"type": "Custom", "custom": {"ciphers": [], "minTLSVersion": "VersionTLS11"}}, "VersionTLS12"),
        ({"type": "Custom", "custom": {"minTLSVersion": "VersionTLS99"}}, "VersionTLS12"),
        ({"type": "Custom"}, "VersionTLS12"),
        ({"type": "Next"}, "VersionTLS12"),
    ],
)
def test_the_oldest_version_is_that_of_the_profile(profile: dict[str, Any] | None, minimum: str) -> None:
    assert profile_of(profile).minimum == minimum


def test_suites_are_told_by_ianas_names_and_unknown_ones_left_out() -> None:
    custom = {
        "ciphers": ["ECDHE-RSA-AES128-GCM-SHA256", "DHE-RSA-AES128-GCM-SHA256", "TLS_AES_128_GCM_SHA256"],
        "minTLSVersion": "VersionTLS12",
    }
    assert profile_of({"type": "Custom", "custom": custom}).ciphers == MODERN_SUITES[1:]
    assert profile_of(None).ciphers[:2] == MODERN_SUITES
    assert profile_of({"type": "Modern"}).ciphers == ()


@pytest.mark.parametrize("name", ["Old", "Intermediate", "Modern"])
def test_what_a_profile_says_is_taken_by_every_process(name: str) -> None:
    settings = discovery.with_profile(SETTINGS, profile_of({"type": name}))
    assert TlsSettings.parse(settings.tls_min_version, settings.tls_cipher_suites) == tls_of(settings)


class FakeClient:
    """Answers in order; the last answer stays."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def _next(self) -> Any:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, ApiError):
            raise answer
        return answer

    async def raw(self, _method: str, _path: str) -> bytes:
        return json.dumps(self._next()).encode()

    async def get(self, _resource: Any, _name: str, **_options: Any) -> Any:
        return self._next()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "RETRY_S", 0.0)


AWAY = UnavailableError("GET /apis", "no answer")


async def test_the_cluster_is_asked_until_it_answers() -> None:
    client: Any = FakeClient(AWAY, AWAY, {"groups": [{"name": "route.openshift.io"}]})
    async with asyncio.timeout(60):
        assert await discovery.on_openshift(client)


async def test_a_cluster_that_does_not_say_what_it_is_is_taken_for_plain() -> None:
    client: Any = FakeClient(ForbiddenError("GET /apis", "no", code=403))
    assert not await discovery.on_openshift(client)


async def test_a_profile_that_can_not_be_read_is_the_default_one() -> None:
    client: Any = FakeClient(AWAY, NotFoundError("GET", "no", code=404))
    async with asyncio.timeout(60):
        assert await discovery.profile(client) == profile_of(None)
    client = FakeClient(server({"type": "Modern"}))
    assert (await discovery.profile(client)).minimum == "VersionTLS13"


def test_the_operators_own_webhook_wants_tls_1_3_unless_told_otherwise() -> None:
    assert tls_of(SETTINGS) == TlsSettings()
    told = discovery.with_profile(SETTINGS, TlsProfile("VersionTLS12", MODERN_SUITES))
    assert tls_of(told).ciphers == tuple(CIPHERS[each] for each in MODERN_SUITES)


@pytest.mark.parametrize(
    ("fields", "openshift", "kinds"),
    [
        ({}, False, ["configmaps", "networkpolicies"]),
        ({}, True, ["configmaps", "networkpolicies", "securitycontextconstraints"]),
        (
            {"deploy_service_monitors": True},
            False,
            ["configmaps", "networkpolicies", "prometheusrules", "servicemonitors", "services"],
        ),
        (
            {"deploy_pod_monitors": True},
            False,
            ["configmaps", "networkpolicies", "podmonitors", "prometheusrules", "services"],
        ),
    ],
)
def test_only_kinds_that_are_made_are_followed(fields: dict[str, Any], kinds: list[str], *, openshift: bool) -> None:
    settings = OperatorSettings(namespace="ns", controller_image="c", speaker_image="s", **fields)
    followed = kinds_of(installation_of(settings, openshift=openshift))
    assert sorted(each.plural for each in followed) == kinds


@pytest.mark.parametrize(("port", "expected"), [(0, (443, 6443)), (8443, (443, 6443, 8443)), (6443, (443, 6443))])
def test_policies_let_pods_reach_the_api_server(port: int, expected: tuple[int, ...]) -> None:
    settings = OperatorSettings(namespace="ns", controller_image="c", speaker_image="s", api_server_port=port)
    assert installation_of(settings).api_ports == expected
