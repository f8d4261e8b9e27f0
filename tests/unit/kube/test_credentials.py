from __future__ import annotations

import base64
import os
import ssl
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from metallb.kube.certificates import self_signed
from metallb.kube.credentials import CredentialsError, FileToken, FixedToken, Tls, find, in_cluster
from metallb.kube.execplugin import ExecPlugin
from metallb.kube.kubeconfig import load
from metallb.kube.pem import load_chain

CERT, KEY = self_signed("admin", ["localhost"], wall_s=1_800_000_000.0)


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def config(**changes: Any) -> dict[str, Any]:
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "c", "cluster": {"server": "https://198.51.100.10:6443/"}}],
        "users": [{"name": "u", "user": {"token": "secret"}}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "team"}}],
        "preferences": {"colors": True},
    }
    return content | changes


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write_file(content: Any, name: str = "config") -> Path:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return path

    return write_file


async def test_a_kubeconfig_gives_server_namespace_and_token(write: Any) -> None:
    found = load([write(config())])
    assert (found.server, found.namespace) == ("https://198.51.100.10:6443", "team")
    assert await found.tokens.authorization(0) == "Bearer secret"


async def test_a_context_can_be_asked_for(write: Any) -> None:
    contexts = [
        {"name": "here", "context": {"cluster": "c", "user": "u"}},
        {"name": "there", "context": {"cluster": "d", "user": ""}},
    ]
    clusters = [
        {"name": "c", "cluster": {"server": "https://198.51.100.10"}},
        {"name": "d", "cluster": {"server": "http://198.51.100.11"}},
    ]
    found = load([write(config(contexts=contexts, clusters=clusters))], "there")
    assert found.server == "http://198.51.100.11"
    assert await found.tokens.authorization(0) == ""


def test_files_are_merged_and_the_first_wins(write: Any, tmp_path: Path) -> None:
    first = write({"current-context": "here", "clusters": [{"name": "c", "cluster": {"server": "https://first"}}]}, "a")
    second = write(config(), "b")
    assert load([tmp_path / "missing", first, second]).server == "https://first"


def test_certificates_may_be_data_or_files_beside_the_config(write: Any, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(CERT)
    (tmp_path / "key.pem").write_text(KEY)
    clusters = [{"name": "c", "cluster": {"server": "https://x", "certificate-authority": "ca.pem"}}]
    users = [{"name": "u", "user": {"client-certificate-data": b64(CERT), "client-key": "key.pem"}}]
    found = load([write(config(clusters=clusters, users=users))])
    context = found.tls.context()
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.cert_store_stats()["x509"] == 1
    assert found.tls.context() is context


def test_verification_is_off_only_where_it_is_asked_for(write: Any) -> None:
    cluster = {"server": "https://x", "insecure-skip-tls-verify": True, "tls-server-name": "api"}
    found = load([write(config(clusters=[{"name": "c", "cluster": cluster}]))])
    assert found.tls.context().verify_mode == ssl.CERT_NONE
    assert found.tls.server_name == "api"


@pytest.mark.parametrize(
    ("user", "header"),
    [
        ({"token": "t"}, "Bearer t"),
        ({"token": "t", "tokenFile": "token"}, "Bearer from-file"),
        ({"username": "me", "password": "pw"}, "Basic " + b64("me:pw")),
        ({}, ""),
    ],
)
async def test_a_user_shows_who_it_is(user: dict[str, str], header: str, write: Any, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    found = load([write(config(users=[{"name": "u", "user": user}]))])
    assert await found.tokens.authorization(0) == header


@pytest.mark.parametrize(
    ("content", "field", "says"),
    [
        ("{", "", "is no YAML"),
        ("[]", "", "Expected `object`"),
        ({"clusters": "none"}, "", "clusters"),
        ({}, "current-context", "not set"),
        (config(**{"current-context": "nope"}), "contexts", "'nope'"),
        (config(clusters=[]), "clusters", "'c'"),
        (config(users=[]), "users", "'u'"),
        (config(clusters=[{"name": "c", "cluster": {"server": "ftp://x"}}]), "server", "ftp://x"),
        (
            config(clusters=[{"name": "c", "cluster": {"server": "https://x", "certificate-authority-data": "%"}}]),
            "certificate-authority-data",
            "base64",
        ),
        (config(users=[{"name": "u", "user": {"client-certificate-data": b64(CERT)}}]), "client-key", "missing"),
    ],
)
def test_a_bad_kubeconfig_names_file_field_and_rule(content: Any, field: str, says: str, write: Any) -> None:
    path = write(content)
    with pytest.raises(CredentialsError) as caught:
        load([path])
    assert caught.value.field == field
    assert str(path) in str(caught.value)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("tls", "field"),
    [
        (Tls(ca_data="no pem"), "certificate-authority"),
        (Tls(ca_file=Path("/nope")), "certificate-authority"),
        (Tls(insecure=True, cert_data="no pem", key_data="no pem"), "client-certificate"),
        (Tls(insecure=True, cert_file=Path("/nope")), "client-certificate"),
    ],
)
def test_an_unusable_certificate_is_named(tls: Tls, field: str) -> None:
    with pytest.raises(CredentialsError) as caught:
        tls.context()
    assert caught.value.field == field


def test_a_replaced_ca_makes_a_new_context(tmp_path: Path) -> None:
    ca = tmp_path / "ca.crt"
    ca.write_text(CERT)
    tls = Tls(ca_file=ca)
    first = tls.context()
    ca.write_text(CERT + self_signed("other", [], wall_s=1_800_000_000.0)[0])
    os.utime(ca, ns=(1, 1))
    assert tls.context() is not first
    ca.unlink()
    second = tls.context()
    assert second.cert_store_stats()["x509"] == 2


@pytest.fixture
def service_account(tmp_path: Path) -> Path:
    folder = tmp_path / "sa"
    folder.mkdir()
    (folder / "token").write_text("bound")
    (folder / "namespace").write_text("metallb-system\n")
    (folder / "ca.crt").write_text(CERT)
    return folder


@pytest.mark.parametrize(
    ("host", "url"), [("198.18.128.1", "https://198.18.128.1:443"), ("2001:db8::1", "https://[2001:db8::1]:443")]
)
async def test_a_pod_uses_its_service_account(host: str, url: str, service_account: Path) -> None:
    found = in_cluster({"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": "443"}, service_account)
    assert (found.server, found.namespace) == (url, "metallb-system")
    assert await found.tokens.authorization(0) == "Bearer bound"


def test_the_usual_order_of_places(write: Any, service_account: Path, tmp_path: Path) -> None:
    def named(server: str, name: str) -> Path:
        return Path(write(config(clusters=[{"name": "c", "cluster": {"server": server}}]), name))

    (tmp_path / ".kube").mkdir()
    named("https://home", ".kube/config")
    listed, asked = named("https://listed", "listed"), named("https://asked", "asked")
    pod = {"KUBERNETES_SERVICE_HOST": "h", "KUBERNETES_SERVICE_PORT": "1"}
    environ = pod | {"KUBECONFIG": str(listed)}

    def server(environ: dict[str, str], **more: Any) -> str:
        return find(environ, home=tmp_path, service_account=service_account, **more).server

    assert server(environ, kubeconfig=asked) == "https://asked"
    assert server(environ) == "https://listed"
    assert server(pod) == "https://h:1"
    assert server({}) == "https://home"
    with pytest.raises(CredentialsError, match="set KUBECONFIG"):
        find({}, home=None, service_account=service_account)


async def test_a_token_is_read_again_when_its_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("one")
    token = FileToken(path)
    assert await token.authorization(0) == "Bearer one"
    path.write_text("three")
    assert await token.authorization(5) == "Bearer one"
    assert await token.authorization(10) == "Bearer three"
    path.unlink()
    assert await token.authorization(30) == "Bearer three"
    path.write_text("")
    assert await token.authorization(50) == "Bearer three"


async def test_a_token_that_was_never_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError):
        await FileToken(tmp_path / "token").authorization(0)
    (tmp_path / "token").write_text(" \n")
    with pytest.raises(CredentialsError, match="empty"):
        await FileToken(tmp_path / "token").authorization(0)


def test_a_fixed_token_has_nothing_newer() -> None:
    assert FixedToken("Bearer x").refuse() is False


def plugin(folder: Path, body: str, **options: Any) -> ExecPlugin:
    path = folder / "plugin"
    path.write_text(f"#!{sys.executable}\nimport json, os, sys\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return ExecPlugin((str(path),), Tls(insecure=True), **options)


async def test_a_plugin_is_asked_again_when_its_token_expires(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    source = plugin(
        tmp_path,
        f"""
n = len(open({str(runs)!r}).read()) if os.path.exists({str(runs)!r}) else 0
open({str(runs)!r}, "a").write("x")
info = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
assert info["kind"] == "ExecCredential" and os.environ["EXTRA"] == "1"
import datetime
ends = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=60)).isoformat()
print(json.dumps({{"kind": "ExecCredential", "status": {{"token": f"t{{n}}", "expirationTimestamp": ends}}}}))
""",
        environment={"EXTRA": "1"},
    )
    assert await source.authorization(0) == "Bearer t0"
    assert await source.authorization(40) == "Bearer t0"
    assert await source.authorization(60) == "Bearer t1"
    source.refuse()
    assert await source.authorization(61) == "Bearer t2"


async def test_a_plugin_may_give_a_client_certificate(tmp_path: Path) -> None:
    pems = {"clientCertificateData": CERT, "clientKeyData": KEY}
    source = plugin(tmp_path, f"print(json.dumps({{'status': {pems!r}}}))")
    before = source.tls.context()
    assert await source.authorization(0) == ""
    assert source.tls.context() is not before


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("sys.exit('log in first')", "log in first"),
        ("print('hello')", "no ExecCredential"),
        ("print('{}')", "neither a token"),
    ],
)
async def test_a_plugin_that_fails_says_why(body: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match=says):
        await plugin(tmp_path, body).authorization(0)


async def test_a_missing_plugin_is_named() -> None:
    with pytest.raises(CredentialsError, match="no-such-plugin"):
        await ExecPlugin(("no-such-plugin",), Tls()).authorization(0)


def test_a_chain_is_loaded_without_a_place_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> Any:
        raise OSError("read-only file system")

    monkeypatch.setattr("tempfile.TemporaryDirectory", refuse)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_chain(context, CERT, KEY)
    with pytest.raises(OSError):
        load_chain(context, CERT, "no key")
