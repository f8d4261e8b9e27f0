"""Rules of a definition's `spec.conversion` (apiextensions-apiserver `validation`, validateCustomResourceConversion).

Fields are named as in the server's internal version: `webhookClientConfig` and `conversionReviewVersions` side by side.
"""

from __future__ import annotations

import base64
from typing import Final

from cryptography import x509

from kubelab.apiserver.builtin import fields, names
from kubelab.apiserver.builtin.webhookconfigurations import client_errors
from kubelab.apiserver.errors import FieldError
from kubelab.apiserver.webhooks.conversions import KNOWN
from kubelab.objects import Object

_PATH: Final = "spec.conversion"
_CLIENT: Final = f"{_PATH}.webhookClientConfig"
_VERSIONS: Final = f"{_PATH}.conversionReviewVersions"
_NOT_ALLOWED: Final = "should not be set when strategy is not set to Webhook"


def conversion_errors(conversion: Object) -> list[FieldError]:
    """Every broken rule. Whether a caBundle is one is asked only where it changes: `bundle_errors`."""
    strategy = conversion.get("strategy")
    if strategy not in {"None", "Webhook"}:
        return [fields.unsupported(f"{_PATH}.strategy", strategy, ("None", "Webhook"))]
    webhook = fields.entries(conversion.get("webhook"))
    client, versions = webhook.get("clientConfig"), fields.items(webhook.get("conversionReviewVersions"))
    if strategy == "None":
        found = [fields.forbidden(_CLIENT, _NOT_ALLOWED)] if client is not None else []
        return found + ([fields.forbidden(_VERSIONS, _NOT_ALLOWED)] if versions else [])
    if client is None:
        found = [fields.required(_CLIENT, "required when strategy is set to Webhook")]
    else:
        found = client_errors(client, _CLIENT)
    return found + _version_errors(versions)


def _version_errors(versions: list[str]) -> list[FieldError]:
    if not versions:
        return [fields.required(_VERSIONS)]
    found: list[FieldError] = []
    for number, version in enumerate(versions):
        at = f"{_VERSIONS}[{number}]"
        if version in versions[:number]:
            found.append(fields.invalid(at, version, "duplicate version"))
        found += names.syntax_errors(at, version, names.dns_label_1035)
    if not set(KNOWN) & set(versions):
        found.append(fields.invalid(_VERSIONS, versions, f"must include at least one of {', '.join(KNOWN)}"))
    return found


def bundle_errors(conversion: Object, before: Object) -> list[FieldError]:
    """An error for a caBundle that is none, where the one before was in order: a new definition may have any."""
    bundle, old = _bundle(conversion), _bundle(before)
    if not bundle or is_bundle(bundle) or (old and not is_bundle(old)):
        return []
    refused = "unable to load root certificates: unable to parse bytes as PEM block"
    return [fields.invalid(f"{_CLIENT}.caBundle", bundle, refused)]


def _bundle(conversion: Object) -> str:
    client = fields.entries(fields.entries(conversion.get("webhook")).get("clientConfig"))
    return str(client.get("caBundle") or "")


def is_bundle(text: str) -> bool:
    """Whether the base64 of a caBundle holds certificates in PEM."""
    try:
        return bool(x509.load_pem_x509_certificates(base64.b64decode(text)))
    except ValueError:
        return False
