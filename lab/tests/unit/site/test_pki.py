"""Certificates of a lab: who they are for, and that they hold."""

from __future__ import annotations

import json
import ssl
from base64 import b64decode
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kubelab import kubeconfig, pki

NOW = 1_800_000_000.0


@pytest.fixture
def authority() -> pki.Authority:
    return pki.Authority(NOW, lambda below: below // 2)


def load(identity: pki.Identity) -> x509.Certificate:
    return x509.load_pem_x509_certificate(identity.certificate)


def test_the_user_is_the_common_name_and_groups_are_organisations(authority: pki.Authority) -> None:
    subject = load(authority.issue(pki.Subject("system:node:a", ("system:nodes", "others")))).subject
    assert [each.value for each in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["system:node:a"]
    assert [each.value for each in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == [
        "system:nodes",
        "others",
    ]


def test_only_a_subject_with_names_can_serve(authority: pki.Authority) -> None:
    def uses(subject: pki.Subject) -> set[x509.ObjectIdentifier]:
        return set(load(authority.issue(subject)).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)

    assert uses(pki.Subject("a")) == {ExtendedKeyUsageOID.CLIENT_AUTH}
    assert uses(pki.Subject("a", names=("a",))) == {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH}


def test_an_api_server_answers_to_its_service_and_to_its_addresses(authority: pki.Authority) -> None:
    names = pki.api_server_names(("control-1", ip_address("198.18.128.1")))
    found = load(authority.issue(pki.Subject("kube-apiserver", names=names))).extensions
    value = found.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"kubernetes.default.svc", "localhost", "control-1"} <= set(value.get_values_for_type(x509.DNSName))
    addresses = set(value.get_values_for_type(x509.IPAddress))
    assert {ip_address("127.0.0.1"), ip_address("198.18.128.1")} <= addresses


def test_certificates_are_valid_now_and_signed_by_the_authority(authority: pki.Authority) -> None:
    ca = x509.load_pem_x509_certificate(authority.certificate)
    certificate = load(authority.issue(pki.Subject("a")))
    certificate.verify_directly_issued_by(ca)
    ca.verify_directly_issued_by(ca)
    for each in (ca, certificate):
        assert each.not_valid_before_utc.timestamp() < NOW < each.not_valid_after_utc.timestamp() - 365 * 86400


def test_python_accepts_what_was_written(authority: pki.Authority, tmp_path: Path) -> None:
    files = pki.write_identity(authority.issue(pki.Subject("a", names=("a",))), tmp_path, "a")
    context = ssl.create_default_context(cadata=authority.certificate.decode())
    context.load_cert_chain(files.cert, files.key)
    assert files.key.stat().st_mode & 0o077 == 0


def test_the_kubeconfig_carries_everything(authority: pki.Authority, tmp_path: Path) -> None:
    identity = authority.issue(pki.Subject("kubernetes-admin", (pki.ADMINISTRATORS,)))
    content = pki.kubeconfig("https://127.0.0.1:1", authority.certificate, identity, cluster="lab", user="admin")
    path = tmp_path / "kubeconfig"
    pki.write_secret(path, content)
    connection = kubeconfig.load(path)
    assert connection.server == "https://127.0.0.1:1"
    assert (connection.ca, connection.cert, connection.key) == (
        authority.certificate,
        identity.certificate,
        identity.key,
    )
    user = json.loads(content)["users"][0]["user"]
    assert b64decode(user["client-key-data"]) == identity.key


def test_a_secret_that_is_written_again_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "key"
    pki.write_secret(path, b"long old")
    pki.write_secret(path, b"new")
    assert path.read_bytes() == b"new"
