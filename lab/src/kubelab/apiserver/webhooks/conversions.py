"""ConversionReview: objects of a custom type from one version to another (apiextensions.k8s.io/v1 and v1beta1).

Source: apiextensions-apiserver `apiserver/conversion/webhook_converter.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kubelab.apiserver.builtin.annotations import annotation_errors
from kubelab.apiserver.builtin.fields import entries, items, shown
from kubelab.apiserver.builtin.selectors import label_errors
from kubelab.apiserver.webhooks.failures import CallError
from kubelab.apiserver.webhooks.hooks import ClientConfig, client_config
from kubelab.apiserver.webhooks.reviews import decoded, go_kind
from kubelab.objects import GroupVersionKind, Json, Object

GROUP: Final = "apiextensions.k8s.io"
KNOWN: Final = ("v1", "v1beta1")
TIMEOUT_S: Final = 30


@dataclass(frozen=True, slots=True)
class Converter:
    """The webhook that converts the objects of a definition."""

    client: ClientConfig
    review_version: str


def converter(conversion: Object) -> Converter | None:
    """From a definition's `spec.conversion`; None where a change of the apiVersion is all."""
    if conversion.get("strategy") != "Webhook":
        return None
    webhook = entries(conversion.get("webhook"))
    versions = items(webhook.get("conversionReviewVersions"))
    version = next((one for one in versions if one in KNOWN), KNOWN[0])
    return Converter(client_config(entries(webhook.get("clientConfig"))), version)


def review(wanted: Converter, objects: Sequence[Object], api_version: str, uid: str) -> Object:
    """The review to send. As what is stored knows no resourceVersion, the webhook is told none."""
    return {
        "kind": "ConversionReview",
        "apiVersion": f"{GROUP}/{wanted.review_version}",
        "request": {"uid": uid, "desiredAPIVersion": api_version, "objects": [_unversioned(one) for one in objects]},
        "response": {"uid": "", "convertedObjects": None, "result": {"metadata": {}}},
    }


def _unversioned(obj: Object) -> Object:
    metadata = {name: part for name, part in obj["metadata"].items() if name != "resourceVersion"}
    return {**obj, "metadata": metadata}


def failed(obj: Object, why: str) -> CallError:
    """A conversion that did not come about; `obj` is (the first of) what was to be converted."""
    return CallError(f"conversion webhook for {go_kind(GroupVersionKind.of(obj))} failed: {why}")


def read(wanted: Converter, body: bytes, objects: Sequence[Object], api_version: str, uid: str) -> list[Object]:
    """The converted objects, in the order of those given.

    Kind, name, namespace and uid must be the same; of the metadata only labels and annotations are the webhook's.

    Raises:
        CallError: the webhook refuses, or its answer is no conversion of these objects.
    """
    subject = objects[0]
    converted = _converted(wanted, body, subject, uid)
    if len(converted) != len(objects):
        kind = go_kind(GroupVersionKind.of(subject))
        count = f"returned {len(converted)} objects, expected {len(objects)}"
        raise CallError(f"conversion webhook for {kind} {count}")
    many = len(objects) > 1
    pairs = enumerate(zip(objects, converted, strict=True))
    return [_checked(before, after, api_version, f" at index {at}" if many else "") for at, (before, after) in pairs]


def _converted(wanted: Converter, body: bytes, subject: Object, uid: str) -> list[Json]:
    try:
        review_ = decoded(body)
    except CallError as error:
        raise failed(subject, error.reason.removeprefix("failed to call webhook: ")) from error
    response = review_.get("response")
    if wanted.review_version == "v1":
        found, expected = GroupVersionKind.of(review_), GroupVersionKind(GROUP, "v1", "ConversionReview")
        if found != expected:
            raise failed(subject, f"expected webhook response of {go_kind(expected)}, got {go_kind(found)}")
    if not isinstance(response, dict):
        raise failed(subject, "no response provided")
    if wanted.review_version == "v1" and response.get("uid") != uid:
        raise failed(subject, f"expected response.uid={shown(uid)}, got {shown(response.get('uid') or '')}")
    result = entries(response.get("result"))
    if result.get("status") != "Success":
        status = result.get("status") or ""
        raise failed(subject, str(result.get("message") or f"response.result.status was '{status}', not 'Success'"))
    return items(response.get("convertedObjects"))


def _checked(before: Object, after: Json, api_version: str, where: str) -> Object:
    head = f"conversion webhook for {go_kind(GroupVersionKind.of(before))} returned invalid "
    wrong = f"{head}converted object{where}: " if where else f"{head}object: "
    if not isinstance(after, dict):
        raise CallError(f"{wrong}it is no object")
    found = str(after.get("apiVersion") or "")
    at = wrong if where else f"{head}object at index 0: "
    if found != api_version:
        raise CallError(f"{at}invalid groupVersion (expected: {api_version}, received: {found})")
    if after.get("kind") != before.get("kind"):
        raise CallError(f"{at}invalid kind (expected: {before.get('kind')}, received: {after.get('kind') or ''})")
    metadata = after.get("metadata")
    in_metadata = f"{head}metadata{' in object' + where if where else ''}: "
    if metadata is None:
        raise CallError(f"{in_metadata}missing metadata in converted object")
    if not isinstance(metadata, dict):
        raise CallError(f"{in_metadata}invalid metadata in converted object")
    for name, told in (("name", "name"), ("namespace", "namespace"), ("uid", "UID")):
        was, is_ = before["metadata"].get(name) or "", metadata.get(name) or ""
        if was != is_:
            raise CallError(f"{wrong}must have the same {told}: {was} != {is_}")
    return {**after, "metadata": _restored(before["metadata"], metadata, in_metadata)}


def _restored(before: Object, after: Object, head: str) -> Object:
    """The metadata as it was, with the webhook's labels and annotations."""
    changed: Object = {}
    for name, errors_of in (("labels", label_errors), ("annotations", annotation_errors)):
        value = after.get(name)
        if value is None:
            continue
        if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
            raise CallError(f"{head}invalid metadata.{name} in converted object")
        if value != before.get(name) and (errors := errors_of(value, f"metadata.{name}")):
            raise CallError(head + str(errors[0]))
        changed[name] = value
    # In the place where they were, so that what did not change reads as it did.
    kept = {
        name: changed.pop(name, None) if name in {"labels", "annotations"} else part for name, part in before.items()
    }
    return {name: part for name, part in kept.items() if part is not None} | changed
