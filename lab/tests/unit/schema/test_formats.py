"""Formats, regular expressions and numbers as Go has them."""

from __future__ import annotations

import pytest

from kubelab.apiserver.schema import formats, patterns, wording

FORMATS = [
    ("date-time", "2026-11-23T22:28:39Z", True),
    ("date-time", "2026-11-23t22:28:39.123456+01:00", True),
    ("date-time", "2026-11-23T24:00:00Z", False),
    ("date-time", "2026-11-23", False),
    ("date", "2024-02-29", True),
    ("date", "2023-02-29", False),
    ("date", "2023-2-1", False),
    ("duration", "1h30m", True),
    ("duration", "-1.5s", True),
    ("duration", "3 days", True),
    ("duration", "0", True),
    ("duration", "3x", False),
    ("duration", "", False),
    ("ipv4", "192.0.2.1", True),
    ("ipv4", "192.0.2.010", True),
    ("ipv4", "1.2.3", False),
    ("ipv4", "2001:db8::1", False),
    ("ipv6", "2001:db8::1", True),
    ("ipv6", "fe80::1%eth0", False),
    ("ipv6", "192.0.2.1", False),
    ("cidr", "192.0.2.0/24", True),
    ("cidr", "192.0.2.1/33", False),
    ("cidr", "2001:db8::/129", False),
    ("cidr", "2001:db8::/64", True),
    ("cidr", "192.0.2.0", False),
    ("byte", "YQ==", True),
    ("byte", "YQ", False),
    ("byte", "", False),
    ("mac", "02:00:5e:10:00:01", True),
    ("mac", "0200.5e10.0001", True),
    ("mac", "02:00:5e", False),
    ("uuid", "123e4567-e89b-12d3-a456-426614174000", True),
    ("uuid4", "123e4567-e89b-12d3-a456-426614174000", False),
    ("hostname", "a.example.org", True),
    ("hostname", "-a", False),
    ("uri", "https://example.org/x", True),
    ("uri", "nothing", False),
    ("email", "a@example.org", True),
    ("email", "a@", False),
    ("isbn", "0321751043", True),
    ("isbn", "978-0321751041", True),
    ("isbn", "978-0321751042", False),
    ("creditcard", "4111 1111 1111 1111", True),
    ("creditcard", "4111 1111 1111 1112", False),
    ("hexcolor", "#ffF", True),
    ("rgbcolor", "rgb(0, 128,255)", True),
    ("rgbcolor", "rgb(0,128,256)", False),
    ("ssn", "123-45-6789", True),
    ("password", "", True),
    ("k8s-short-name", "a-b", True),
    ("k8s-short-name", "A", False),
    ("k8s-long-name", "a.b-c.d", True),
    ("k8s-long-name", "a..b", False),
]


@pytest.mark.parametrize(("name", "text", "holds"), FORMATS)
def test_a_format_is_checked_as_the_server_checks_it(name: str, text: str, *, holds: bool) -> None:
    check = formats.known(name)
    assert check is not None
    assert check(text) is holds


def test_an_unknown_format_is_not_checked() -> None:
    assert formats.known("poem") is None
    assert formats.known("") is None


PATTERNS = [
    ("^a$", "a\n", False),
    ("(?m)^a$", "b\na\n", True),
    (r"^a\$$", "a$", True),
    (r"[$]", "$", True),
    (r"\d", "٣", False),
    (r"^[[:alnum:]]+$", "aZ9", True),
    (r"^[^[:space:]]+$", "a b", False),
    (r"a\z", "ba", True),
    ("(?P<x>a)", "a", True),
    ("(?<x>a)b", "ab", True),
    ("[]a]", "]", True),
    (r"[\]x]$", "]", True),
]


@pytest.mark.parametrize(("pattern", "text", "found"), PATTERNS)
def test_a_pattern_means_what_it_means_in_go(pattern: str, text: str, *, found: bool) -> None:
    assert patterns.matches(pattern, text) is found


@pytest.mark.parametrize("pattern", ["(?=a)", "(?<!a)b", r"(a)\1", "(", "a{2,1}", "["])
def test_what_is_no_pattern_in_go_is_refused_and_matches_nothing(pattern: str) -> None:
    with pytest.raises(ValueError, match="`"):
        patterns.compiled(pattern)
    assert not patterns.matches(pattern, "a")


NUMBERS = [
    (1.0, "1"),
    (0.0, "0"),
    (-0.5, "-0.5"),
    (1e20, "100000000000000000000"),
    (1e21, "1e+21"),
    (1.5e-5, "1.5e-05"),
    (0.0001, "0.0001"),
    (123456.75, "123456.75"),
    (3, "3"),
    (float("inf"), "+Inf"),
]


@pytest.mark.parametrize(("value", "printed"), NUMBERS)
def test_a_number_is_printed_as_in_go(value: float, printed: str) -> None:
    assert wording.number(value) == printed
