"""Access: who is asked for, what is refused, and in which words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from kubelab import kubeconfig
from kubelab.apiclient import ApiClient, ApiFailure, PatchKind, Resource

CONFIG_MAPS = Resource("", "v1", "configmaps", namespaced=True)
SERVICES = Resource("", "v1", "services", namespaced=True)
ACCOUNTS = Resource("", "v1", "serviceaccounts", namespaced=True)
ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", namespaced=True)
BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", namespaced=True)
REVIEWS = Resource("authorization.k8s.io", "v1", "selfsubjectaccessreviews", namespaced=False)
WHO = Resource("authentication.k8s.io", "v1", "selfsubjectreviews", namespaced=False)
TOKENS = Resource("authentication.k8s.io", "v1", "tokenreviews", namespaced=False)

Robot = Callable[[str], AbstractAsyncContextManager[ApiClient]]


@pytest.fixture
def as_token(cluster: Any) -> Robot:
    @asynccontextmanager
    async def client(token: str) -> AsyncIterator[ApiClient]:
        connection = kubeconfig.load(cluster.kubeconfig)
        nobody = replace(connection, cert=None, key=None, token=token)
        async with ApiClient(connection.server, connection=nobody) as found:
            yield found

    return client


async def new_token(client: ApiClient, namespace: str, name: str = "robot") -> str:
    await client.create(ACCOUNTS, {"metadata": {"name": name}}, namespace)
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    answer = await client.create_subresource(ACCOUNTS, name, "token", request, namespace)
    return str(answer["status"]["token"])


async def test_a_robot_is_who_its_token_says(client: ApiClient, namespace: str, as_token: Robot) -> None:
    async with as_token(await new_token(client, namespace)) as robot:
        who = await robot.create(WHO, {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
    info = who["status"]["userInfo"]
    assert info["username"] == f"system:serviceaccount:{namespace}:robot"
    assert info["groups"] == [
        "system:serviceaccounts",
        f"system:serviceaccounts:{namespace}",
        "system:authenticated",
    ]


async def test_rights_come_and_go_with_their_binding(client: ApiClient, namespace: str, as_token: Robot) -> None:
    async with as_token(await new_token(client, namespace)) as robot:
        with pytest.raises(ApiFailure) as caught:
            await robot.list(SERVICES, namespace)
        assert caught.value.message == (
            f'services is forbidden: User "system:serviceaccount:{namespace}:robot" cannot list resource "services" '
            f'in API group "" in the namespace "{namespace}"'
        )
        rule = {"apiGroups": [""], "resources": ["services"], "verbs": ["list"]}
        await client.create(ROLES, {"metadata": {"name": "reader"}, "rules": [rule]}, namespace)
        binding = {
            "metadata": {"name": "reader"},
            "roleRef": {"apiGroup": ROLES.group, "kind": "Role", "name": "reader"},
            "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": namespace}],
        }
        await client.create(BINDINGS, binding, namespace)
        assert (await robot.list(SERVICES, namespace)).items == []
        await client.delete(BINDINGS, "reader", namespace)
        with pytest.raises(ApiFailure) as caught:
            await robot.list(SERVICES, namespace)
        assert caught.value.code == 403


async def test_a_token_dies_with_its_account(client: ApiClient, namespace: str, as_token: Robot) -> None:
    token = await new_token(client, namespace)
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    assert (await client.create(TOKENS, review))["status"]["authenticated"]
    await client.delete(ACCOUNTS, "robot", namespace)
    assert not (await client.create(TOKENS, review))["status"].get("authenticated")
    async with as_token(token) as robot:
        with pytest.raises(ApiFailure) as caught:
            await robot.list(SERVICES, namespace)
    assert (caught.value.code, caught.value.message) == (401, "Unauthorized")


async def test_a_token_of_nobody_is_refused(as_token: Robot) -> None:
    async with as_token("nope") as robot:
        with pytest.raises(ApiFailure) as caught:
            await robot.list(SERVICES, "default")
    assert caught.value.code == 401


async def test_one_may_ask_on_behalf_of_another(client: ApiClient, namespace: str) -> None:
    attributes = {"namespace": namespace, "verb": "list", "resource": "services"}
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    review = body | {"spec": {"resourceAttributes": attributes}}
    mine = await client.create(REVIEWS, review)
    assert mine["status"]["allowed"]


async def test_nobody_grants_what_he_does_not_hold(client: ApiClient, namespace: str, as_token: Robot) -> None:
    async with as_token(await new_token(client, namespace)) as robot:
        rule = {"apiGroups": [ROLES.group], "resources": ["roles"], "verbs": ["create"]}
        await client.create(ROLES, {"metadata": {"name": "maker"}, "rules": [rule]}, namespace)
        binding = {
            "metadata": {"name": "maker"},
            "roleRef": {"apiGroup": ROLES.group, "kind": "Role", "name": "maker"},
            "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": namespace}],
        }
        await client.create(BINDINGS, binding, namespace)
        await robot.create(ROLES, {"metadata": {"name": "same"}, "rules": [rule]}, namespace)
        more = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}
        with pytest.raises(ApiFailure) as caught:
            await robot.create(ROLES, {"metadata": {"name": "more"}, "rules": [more]}, namespace)
    assert "attempting to grant RBAC permissions not currently held" in caught.value.message


async def test_an_apply_that_creates_needs_the_right_to_create(
    client: ApiClient, namespace: str, as_token: Robot
) -> None:
    async with as_token(await new_token(client, namespace)) as robot:
        rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"]}
        await client.create(ROLES, {"metadata": {"name": "patcher"}, "rules": [rule]}, namespace)
        binding = {
            "metadata": {"name": "patcher"},
            "roleRef": {"apiGroup": ROLES.group, "kind": "Role", "name": "patcher"},
            "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": namespace}],
        }
        await client.create(BINDINGS, binding, namespace)
        body: Any = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "made"}, "data": {"a": "b"}}
        with pytest.raises(ApiFailure) as caught:
            await robot.patch(CONFIG_MAPS, "made", body, namespace, kind=PatchKind.APPLY, field_manager="me")
        assert "cannot create resource" in caught.value.message
        await client.create(CONFIG_MAPS, body, namespace)
        await robot.patch(CONFIG_MAPS, "made", body, namespace, kind=PatchKind.APPLY, field_manager="me")

    asked = await client.request("GET", "/debug/rights")
    user = f"system:serviceaccount:{namespace}:robot"
    mine = {(each["verb"], each["resource"], each["allowed"]) for each in asked["items"] if each["user"] == user}
    assert mine == {("patch", "configmaps", True), ("create", "configmaps", False)}
