"""The command line of a container, piece by piece; volumes' content; addresses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.kubelet.addresses import AddressesError, PodAddresses
from kubelab.kubelet.environment import MissingError, Place
from kubelab.kubelet.podspec import Container, Security
from kubelab.kubelet.sandbox import Bind, HostTree, Sandbox, command, enter, mount_order, mount_points, privileges
from kubelab.kubelet.volumes import content, failed_mount
from kubelab.proxy.model import networks

PLACE = Place("worker-1", ("198.51.100.11",), ("198.18.1.2",))
TREE = HostTree({"/bin": "usr/bin"}, ("/usr",), ("/etc/ssl",))


def line(container: Container, **more: Any) -> str:
    fields = {
        "container": container,
        "argv": ("/bin/program", "--flag"),
        "environment": {"A": "b"},
        "hostname": "p",
        "network": "/state/netns",
        "binds": (),
        "etc": {"hosts": "/state/hosts"},
        "status_fd": 9,
        "options_fd": 8,
    }
    argv, options = command(Sandbox(**(fields | more)), TREE)
    bwrap = argv.index("--args")
    assert argv[bwrap + 1] == "8"
    assert "b" not in argv
    return " ".join([*argv[:bwrap], *options.decode().split("\0")[:-1], *argv[bwrap + 2 :]])


@pytest.mark.parametrize(
    ("security", "there", "absent"),
    [
        pytest.param(
            Security(frozenset({"NET_RAW"})),
            [
                "--cap-drop ALL --cap-add CAP_NET_RAW --cap-add CAP_SETGID --cap-add CAP_SETPCAP --cap-add CAP_SETUID --",
                "-- setpriv --inh-caps=-all --ambient-caps=-all --bounding-set=-all,+net_raw -- /bin/program --flag",
                "--ro-bind /proc/sys /proc/sys",
                "--ro-bind /mnt /sys",
            ],
            ["--remount-ro", "--reuid", "--dev-bind"],
            id="one capability",
        ),
        pytest.param(
            Security(frozenset(), user=65534, group=7, groups=(3, 4)),
            [
                "setpriv --reuid=65534 --regid=7 --groups=3,4 --inh-caps=-all --ambient-caps=-all --bounding-set=-all -- "
            ],
            ["--clear-groups"],
            id="another user",
        ),
        pytest.param(Security(user=1), ["--reuid=1 --regid=0 --clear-groups"], [], id="a user alone"),
        pytest.param(Security(read_only_root=True), ["--remount-ro / --chdir /"], [], id="read-only root"),
        pytest.param(
            Security(privileged=True), ["--dev-bind /dev /dev", "--bind /mnt /sys"], ["/proc/sys"], id="privileged"
        ),
    ],
)
def test_rights_are_what_the_security_context_says(security: Security, there: list[str], absent: list[str]) -> None:
    text = line(Container("c", "web", security=security))
    assert [part for part in there if part not in text] == []
    assert [part for part in absent if part in text] == []


def test_a_pod_enters_its_own_network_and_mounts_its_own_sys() -> None:
    mount = 'mount -t sysfs -o nosuid,nodev,noexec sysfs /mnt && exec "$@"'
    own = line(Container("c", "web"))
    assert own.startswith(
        f"nsenter --net=/state/netns -- unshare --mount --propagation=slave -- sh -c {mount} sh bwrap "
    )
    assert line(Container("c", "web"), network="").startswith(
        f"unshare --mount --propagation=slave -- sh -c {mount} sh "
    )


def test_the_container_sees_programs_its_environment_and_its_own_etc() -> None:
    text = line(Container("c", "web", working_dir="/data"))
    for part in (
        "--symlink usr/bin /bin --ro-bind /usr /usr",
        "--clearenv --setenv A b",
        "--dir /etc --ro-bind /etc/ssl /etc/ssl --bind /state/hosts /etc/hosts",
        "--dir /data --chdir /data",
        "--unshare-pid --unshare-uts --unshare-ipc --hostname p --new-session --json-status-fd 9",
    ):
        assert part in text


def test_outer_mounts_come_before_inner_ones_whose_mount_points_are_made_outside() -> None:
    binds = [
        Bind("/v/b", "/etc/metallb/memberlist", True),
        Bind("/v/a", "/etc/metallb", True),
        Bind("/v/c", "/x", False),
    ]
    assert [bind.target for bind in mount_order(binds)] == ["/x", "/etc/metallb", "/etc/metallb/memberlist"]
    assert list(mount_points(binds)) == [(binds[1], "/v/a/memberlist")]
    text = line(Container("c", "web"), binds=tuple(binds))
    order = [text.index(part) for part in ("/v/c /x", "/v/a /etc/metallb", "/v/b /etc/metallb/memberlist")]
    assert order == sorted(order)


def test_a_command_beside_the_program_has_its_rights() -> None:
    argv = enter(7, Security(frozenset(), user=5), ("cat", "/x"))
    assert argv[:2] == ["nsenter", "--target=7"]
    assert argv[-len(privileges(Security(frozenset(), user=5))) - 2 :] == [
        *privileges(Security(frozenset(), user=5)),
        "cat",
        "/x",
    ]


OBJECTS = {
    ("configmap", "conf"): {"data": {"a": "1", "b": "2"}, "binaryData": {"c": "AA=="}},
    ("secret", "key"): {"data": {"secretkey": "a2V5"}},
}


def lookup(kind: str, name: str) -> Any:
    return OBJECTS.get((kind, name))


def files(pods: Any, volume: dict[str, Any], **spec: Any) -> dict[str, tuple[bytes, int]]:
    pod = pods.parsed(volumes=[{"name": "v", **volume}], **spec)
    made = content(pod.volumes["v"], pod, PLACE, lookup, lambda token: f"T{token.path}")
    return {path: (file.data, file.mode) for path, file in made.items()}


@pytest.mark.parametrize(
    ("volume", "wanted"),
    [
        ({"configMap": {"name": "conf"}}, {"a": (b"1", 0o644), "b": (b"2", 0o644), "c": (b"\0", 0o644)}),
        ({"secret": {"secretName": "key", "defaultMode": 0o400}}, {"secretkey": (b"key", 0o400)}),
        (
            {"configMap": {"name": "conf", "items": [{"key": "a", "path": "x/y", "mode": 0o600}]}},
            {"x/y": (b"1", 0o600)},
        ),
        ({"configMap": {"name": "none", "optional": True}}, {}),
        ({"downwardAPI": {"items": [{"path": "n", "fieldRef": {"fieldPath": "metadata.name"}}]}}, {"n": (b"p", 0o644)}),
        (
            {
                "projected": {
                    "sources": [
                        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
                        {"configMap": {"name": "conf", "items": [{"key": "a", "path": "ca.crt"}]}},
                        {
                            "downwardAPI": {
                                "items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]
                            }
                        },
                    ]
                }
            },
            {"token": (b"Ttoken", 0o644), "ca.crt": (b"1", 0o644), "namespace": (b"default", 0o644)},
        ),
    ],
)
def test_what_is_in_a_volume(pods: Any, volume: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert files(pods, volume) == wanted


def test_a_group_of_files_may_read_what_their_owner_may(pods: Any) -> None:
    made = files(pods, {"secret": {"secretName": "key", "defaultMode": 0o400}}, securityContext={"fsGroup": 65534})
    assert made == {"secretkey": (b"key", 0o440)}


@pytest.mark.parametrize(
    ("volume", "problem"),
    [
        ({"secret": {"secretName": "x"}}, 'MountVolume.SetUp failed for volume "v" : secret "x" not found'),
        ({"configMap": {"name": "x"}}, 'MountVolume.SetUp failed for volume "v" : configmap "x" not found'),
        (
            {"configMap": {"name": "conf", "items": [{"key": "z", "path": "z"}]}},
            'MountVolume.SetUp failed for volume "v" : references non-existent configmap key: z',
        ),
        (
            {"configMap": {"name": "conf", "items": [{"key": "a", "path": "../a"}]}},
            'MountVolume.SetUp failed for volume "v" : path "../a" must be relative and must not contain ".."',
        ),
    ],
)
def test_a_volume_that_lacks_something_says_what(pods: Any, volume: dict[str, Any], problem: str) -> None:
    with pytest.raises(MissingError) as caught:
        files(pods, volume)
    assert failed_mount("v", str(caught.value)) == problem


def test_pods_get_the_same_number_in_both_families() -> None:
    addresses = PodAddresses(networks(["198.18.1.0/24", "2001:db8:200:1::/64"]))
    assert addresses.take("a") == ("198.18.1.2", "2001:db8:200:1::2")
    assert addresses.take("a") == ("198.18.1.2", "2001:db8:200:1::2")
    assert [str(gateway) for gateway in addresses.gateways] == ["198.18.1.1", "2001:db8:200:1::1"]


def test_a_full_range_says_so() -> None:
    addresses = PodAddresses(networks(["198.18.1.0/30"]))
    addresses.take("a")
    with pytest.raises(AddressesError, match=r"no pod address is left in 198\.18\.1\.0/30"):
        addresses.take("b")


@given(steps=st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=60))
def test_no_two_pods_share_an_address_and_a_freed_one_comes_back_last(steps: list[tuple[bool, int]]) -> None:
    addresses = PodAddresses(networks(["198.18.1.0/27"]))
    held: dict[str, str] = {}
    freed: list[str] = []
    for take, number in steps:
        owner = str(number)
        if take:
            (address,) = addresses.take(owner)
            if owner not in held:
                assert address not in held.values()
                if address in freed:
                    assert address == freed.pop(0)
            held[owner] = address
        else:
            addresses.give_back(owner)
            if owner in held:
                freed.append(held.pop(owner))


@given(numbers=st.lists(st.integers(2, 29), unique=True, max_size=10))
def test_addresses_kept_from_before_are_not_given_again(numbers: list[int]) -> None:
    addresses = PodAddresses(networks(["198.18.1.0/27"]))
    for number in numbers:
        assert addresses.keep(f"old{number}", [f"198.18.1.{number}"])
        assert not addresses.keep("twice", [f"198.18.1.{number}"])
    fresh = {addresses.take(f"new{index}")[0] for index in range(29 - len(numbers))}
    assert len(fresh) == 29 - len(numbers)
    assert not fresh & {f"198.18.1.{number}" for number in numbers}


@pytest.mark.parametrize("address", ["198.18.2.5", "x", "198.18.1.1", "198.18.1.255"])
def test_an_address_of_another_range_is_not_kept(address: str) -> None:
    assert not PodAddresses(networks(["198.18.1.0/24"])).keep("a", [address])
