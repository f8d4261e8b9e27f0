"""Addresses and ranges as people write them (spec/crds.md 10.1 P3 to P7, 11.1, 11.2)."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from metallb.api.net import BITS, Address, Family, Range, ServiceKey

families: st.SearchStrategy[Family] = st.sampled_from((4, 6))
addresses = families.flatmap(
    lambda family: st.builds(Address, st.just(family), st.integers(0, (1 << BITS[family]) - 1))
).filter(lambda address: address.family == 4 or address.value >> 32 != 0xFFFF)


@st.composite
def ranges(draw: st.DrawFn) -> Range:
    first = draw(addresses)
    highest = (1 << BITS[first.family]) - 1
    last = draw(st.integers(first.value, highest) | st.integers(first.value, min(first.value + 300, highest)))
    if first.family == 6 and last >> 32 == 0xFFFF:
        last = first.value
    return Range(first.family, first.value, last)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("1.2.3.0/24", "1.2.3.0", "1.2.3.255"),
        ("fc00:f853::/64", "fc00:f853::", "fc00:f853::ffff:ffff:ffff:ffff"),
        ("1.2.3.10-1.2.3.20", "1.2.3.10", "1.2.3.20"),
        ("1.2.3.10 - 1.2.3.20", "1.2.3.10", "1.2.3.20"),
        ("\t1.2.3.10-1.2.3.20 ", "1.2.3.10", "1.2.3.20"),
        ("1.2.3.4-1.2.3.4", "1.2.3.4", "1.2.3.4"),
        ("10.0.0.7/24", "10.0.0.0", "10.0.0.255"),
        ("10.0.0.7/32", "10.0.0.7", "10.0.0.7"),
        ("0.0.0.0/0", "0.0.0.0", "255.255.255.255"),  # noqa: S104  # an example
        ("::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2001:DB8::1/128", "2001:db8::1", "2001:db8::1"),
        ("2001:db8::-2001:db8::ff", "2001:db8::", "2001:db8::ff"),
        ("::ffff:1.2.3.0/120", "1.2.3.0", "1.2.3.255"),
        ("::ffff:1.2.3.9/96", "0.0.0.0", "255.255.255.255"),  # noqa: S104  # an example
        ("::ffff:1.2.3.4-1.2.3.9", "1.2.3.4", "1.2.3.9"),
        ("10.0.0.0/024", "10.0.0.0", "10.0.0.255"),
        ("10.0.0.0/00", "0.0.0.0", "255.255.255.255"),  # noqa: S104  # an example
    ],
)
def test_accepted(text: str, first: str, last: str) -> None:
    parsed = Range.parse(text)
    assert (parsed.first, parsed.last) == (Address.parse(first).value, Address.parse(last).value)
    assert parsed.family == Address.parse(first).family


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "is neither a CIDR (192.0.2.0/24) nor a range (192.0.2.10-192.0.2.20)"),
        ("nope", "is neither a CIDR (192.0.2.0/24) nor a range (192.0.2.10-192.0.2.20)"),
        ("1.2.3.4", "is neither a CIDR (192.0.2.0/24) nor a range (192.0.2.10-192.0.2.20)"),
        ("1.2.3.0/33", "has the prefix length 33, more than 32"),
        ("2001:db8::/129", "has the prefix length 129, more than 128"),
        ("1.2.3.0/" + "9" * 5000, "has the prefix length 999999999, more than 32"),
        ("1.2.3.0/", "has the prefix length '', which is not a number"),
        ("1.2.3.0/x", "has the prefix length 'x', which is not a number"),
        ("1.2.3.0/+24", "has the prefix length '+24', which is not a number"),
        ("1.2.3.0/٢٤", "has the prefix length '٢٤', which is not a number"),
        ("1.2.3.0/24/24", "has the prefix length '24/24', which is not a number"),
        ("1.2.3.0/255.255.255.0", "has the prefix length '255.255.255.0', which is not a number"),
        ("1.2.3.0/24 ", "has the prefix length '24 ', which is not a number"),
        (" 1.2.3.0/24", "has the address ' 1.2.3.0', which is no IP address"),
        ("01.2.3.0/24", "has the address '01.2.3.0', which is no IP address"),
        ("1.2.3/24", "has the address '1.2.3', which is no IP address"),
        ("1.2.3.256/24", "has the address '1.2.3.256', which is no IP address"),
        ("16909060/24", "has the address '16909060', which is no IP address"),
        ("/24", "has the address '', which is no IP address"),
        ("fe80::1%eth0/64", "has a zone"),
        ("::ffff:1.2.3.0/95", "is IPv4-mapped with a prefix length under 96"),
        ("1.2.3.20-1.2.3.10", "starts at 1.2.3.20, after its end 1.2.3.10"),
        ("10.0.0.1-fd00::1", "goes from IPv4 to IPv6"),
        ("fd00::1-10.0.0.1", "goes from IPv6 to IPv4"),
        ("1.2.3.0/24-1.2.4.0/24", "has the end '1.2.3.0/24', which is no IP address"),
        ("1.2.3.4-", "has the end '', which is no IP address"),
        ("-", "has the end '', which is no IP address"),
        ("-1.2.3.4", "has the end '', which is no IP address"),
        ("1.2.3.4-1.2.3.5-1.2.3.6", "has the end '1.2.3.5-1.2.3.6', which is no IP address"),
        ("fe80::1%eth0-fe80::2%eth0", "has the end 'fe80::1%eth0', which is no IP address"),
    ],
)
def test_refused_with_the_rule(text: str, rule: str) -> None:
    with pytest.raises(ValueError) as caught:
        Range.parse(text)
    assert str(caught.value) == rule


@given(st.text() | st.text("0123456789abcdef.:-/% ", max_size=40))
def test_no_text_raises_anything_but_value_error(text: str) -> None:
    try:
        parsed = Range.parse(text)
    except ValueError as error:
        assert str(error)
    else:
        assert 0 <= parsed.first <= parsed.last < 1 << BITS[parsed.family]


@given(ranges())
@example(Range(4, 0, 0))
@example(Range(6, 0, (1 << 128) - 1))
def test_a_printed_range_reads_the_same(drawn: Range) -> None:
    assert Range.parse(str(drawn)) == drawn


@given(ranges())
def test_a_range_prints_as_a_cidr_exactly_where_it_is_one(drawn: Range) -> None:
    low, high = (str(Address(drawn.family, value)) for value in (drawn.first, drawn.last))
    summary = list(
        ipaddress.summarize_address_range(ipaddress.ip_address(low), ipaddress.ip_address(high))  # type: ignore[type-var]  # one family
    )
    assert str(drawn) == (str(summary[0]) if len(summary) == 1 else f"{low}-{high}")


@given(ranges(), addresses)
def test_a_range_holds_what_lies_between_its_ends(drawn: Range, address: Address) -> None:
    inside = address.family == drawn.family and drawn.first <= address.value <= drawn.last
    assert (address in drawn) is inside
    assert Address(drawn.family, drawn.first) in drawn
    assert Address(drawn.family, drawn.last) in drawn
    assert drawn.size == drawn.last - drawn.first + 1
    assert "10.0.0.0" not in drawn


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 9)), min_size=2, max_size=2), families, families)
def test_overlap_is_a_shared_address(ends: list[tuple[int, int]], one: Family, other: Family) -> None:
    first = Range(one, ends[0][0], sum(ends[0]))
    second = Range(other, ends[1][0], sum(ends[1]))
    shared = one == other and set(range(first.first, first.last + 1)) & set(range(second.first, second.last + 1))
    assert first.overlaps(second) is second.overlaps(first) is bool(shared)


@given(addresses)
def test_an_address_survives_text_and_bytes(address: Address) -> None:
    assert Address.parse(str(address)) == address
    assert Address.unpack(address.pack()) == address
    assert len(address.pack()) * 8 == BITS[address.family]


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        ("::", "::"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ("::192.0.2.1", "::c000:201"),
    ],
)
def test_addresses_print_as_rfc_5952_says(text: str, printed: str) -> None:
    assert str(Address.parse(text)) == printed


@pytest.mark.parametrize(
    "text", ["", " ", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.4 ", "fe80::1%eth0", "1.2.3.4/32", "::1::", "a.example"]
)
def test_other_text_is_no_address(text: str) -> None:
    with pytest.raises(ValueError):
        Address.parse(text)


def test_ipv4_sorts_before_ipv6_and_then_by_value() -> None:
    texts = ["10.0.0.2", "::1", "10.0.0.10", "9.255.0.0", "2001:db8::"]
    assert [str(a) for a in sorted(map(Address.parse, texts))] == [
        "9.255.0.0",
        "10.0.0.2",
        "10.0.0.10",
        "::1",
        "2001:db8::",
    ]


def test_a_service_key_prints_as_kubectl_writes_it() -> None:
    assert str(ServiceKey("default", "web")) == "default/web"
