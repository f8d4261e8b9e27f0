"""The functions that Kubernetes adds to CEL: each line is an expression and what it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kubelab.apiserver.cel import programs

SELF: dict[str, Any] = {
    "a": {"b": 1},
    "s": "aXc",
    "l": [3, 1, 2],
    "t": datetime(2026, 1, 1, tzinfo=UTC),
    "d": timedelta(seconds=90),
}
VALUES = [
    ("'aXc'.lowerAscii() + 'aÄc'.upperAscii()", "axcAÄC"),
    ("'a,b,c'.split(',')", ["a", "b", "c"]),
    ("'a,b,c'.split(',', 2)", ["a", "b,c"]),
    ("'abc'.split('')", ["a", "b", "c"]),
    ("'abc'.split(',', 0)", []),
    ("['a', 'b'].join() + ['a', 'b'].join('-')", "aba-b"),
    ("'a-b-c'.replace('-', '+') + 'a-b-c'.replace('-', '', 1)", "a+b+cab-c"),
    ("'abcd'.substring(1) + 'abcd'.substring(1, 2)", "bcdb"),
    ("'abcb'.indexOf('b') + 10 * 'abcb'.lastIndexOf('b')", 31),
    ("'abcb'.indexOf('b', 2)", 3),
    ("'abcb'.lastIndexOf('b', 2)", 1),
    ("' a '.trim() + 'abc'.charAt(1) + 'abc'.reverse()", "abcba"),
    ("'x1y22'.find('[0-9]+') + 'x1y22'.findAll('[0-9]+')[1]", "122"),
    ("'x1y22'.findAll('[0-9]', 2)", ["1", "2"]),
    ("'abc'.matches('^a.c$') && !'abc'.matches('^b')", True),
    ("strings.quote('a\"b')", '"a\\"b"'),
    (
        "'%s is %d, %.2f, %x, %X, %b, 5%%'.format([[1, 'a'], 5, 1.5, 255, 'hi', 5])",
        "[1, a] is 5, 1.50, ff, 6869, 101, 5%",
    ),
    ("'%s %s %s'.format([null, true, {'b': 1, 'a': 2}])", "null true {a: 2, b: 1}"),
    ("string(1) + string(true) + string(1.5) + string('x')", "1true1.5x"),
    ("string(self.t) + string(self.d)", "2026-01-01T00:00:00Z90s"),
    ("self.l.isSorted() || [1, 1, 2].isSorted()", True),
    ("self.l.sum() + self.l.min() * 10 + self.l.max() * 100", 316),
    ("[duration('1s'), duration('2s')].sum() == duration('3s')", True),
    ("[].sum()", 0),
    ("[1, 2, 1].indexOf(1) + 10 * [1, 2, 1].lastIndexOf(1) + 100 * [1].indexOf(3)", -80),
    ("sets.contains([1, 2], [2]) && !sets.contains([1], [2])", True),
    ("sets.equivalent([1, 2], [2, 1, 1]) && sets.intersects([1, 2], [2, 3])", True),
    ("isIP('192.0.2.1') && isIP('2001:db8::1')", True),
    ("isIP('192.0.2') || isIP('192.0.2.01') || isIP('fe80::1%eth0') || isIP('::ffff:192.0.2.1') || isIP('')", False),
    ("ip('192.0.2.1').family() * 10 + ip('::1').family()", 46),
    ("ip('::1').isLoopback() && ip('::').isUnspecified() && ip('fe80::1').isLinkLocalUnicast()", True),
    ("ip('224.0.0.1').isLinkLocalMulticast() && ip('ff02::1').isLinkLocalMulticast()", True),
    ("ip('192.0.2.1').isGlobalUnicast() && !ip('255.255.255.255').isGlobalUnicast()", True),
    ("ip.isCanonical('::1') && !ip.isCanonical('0:0::1')", True),
    ("ip('0:0::1') == ip('::1') && string(ip('0::1')) == '::1'", True),
    ("isCIDR('192.0.2.1/24') && !isCIDR('192.0.2.1') && !isCIDR('192.0.2.0/33') && !isCIDR('192.0.2.0/024')", True),
    ("cidr('192.0.2.0/24').containsIP('192.0.2.9') && cidr('192.0.2.0/24').containsIP(ip('192.0.2.9'))", True),
    ("cidr('192.0.2.0/24').containsIP('198.51.100.1') || cidr('192.0.2.0/24').containsIP('::1')", False),
    ("cidr('192.0.2.0/24').containsCIDR('192.0.2.128/25')", True),
    ("cidr('192.0.2.0/24').containsCIDR(cidr('192.0.0.0/16')) || cidr('0.0.0.0/0').containsCIDR('::/0')", False),
    ("string(cidr('192.0.2.7/24').masked()) + string(cidr('192.0.2.7/24').ip())", "192.0.2.0/24192.0.2.7"),
    ("cidr('2001:db8::/32').prefixLength()", 32),
    ("isURL('https://a.example/x') && isURL('/x') && !isURL('a.example') && !isURL('http://a:b/')", True),
    ("url('https://u@h.example:8443/p?x=1').getScheme()", "https"),
    ("url('https://u@h.example:8443/p').getHost() + url('https://[::1]:1/').getHostname()", "h.example:8443::1"),
    ("url('https://h.example:8443/').getPort() + url('https://h.example/').getPort()", "8443"),
    ("url('https://h.example/a%20b').getEscapedPath()", "/a%20b"),
    ("url('https://h.example/?x=1&x=2').getQuery()['x']", ["1", "2"]),
    ("isQuantity('1.5Gi') && !isQuantity('1.5Xi') && !isQuantity('1e999999')", True),
    ("quantity('1500m').isGreaterThan(quantity('1')) && quantity('1Ki').isLessThan(quantity('1.1k'))", True),
    ("quantity('1000m') == quantity('1') && quantity('1').compareTo(quantity('2')) == -1", True),
    ("quantity('1Gi').asInteger() + quantity('-1').sign()", 1073741823),
    ("quantity('1').add(2).sub(quantity('500m')).asApproximateFloat()", 2.5),
    ("quantity('1500m').isInteger()", False),
    ("format.dns1123Label().validate('a_b').hasValue()", True),
    ("format.named('dns1123Label').value().validate('a-b').hasValue()", False),
    ("format.named('nope').hasValue()", False),
    ("format.dns1123LabelPrefix().validate('a-').hasValue() || format.date().validate('2026-01-01').hasValue()", False),
    ("format.byte().validate('?').value()[0]", "invalid base64"),
    (
        "self.?a.?b.orValue(5) + self.?a.b.orValue(5) * 10 + self.?x.?b.orValue(5) * 100 + self.?x.b.orValue(5) * 1000",
        5511,
    ),
    ("self[?'a'].hasValue() && !self[?'b'].hasValue() && self.l[?0].value() == 3 && !self.l[?9].hasValue()", True),
    ("self.?a.optMap(v, v.b + 1).orValue(0) + self.?x.optMap(v, v.b + 1).orValue(0)", 2),
    ("optional.of(1).orValue(2) + optional.none().orValue(2)", 3),
    ("duration('90m').getHours() + duration('90s').getMinutes()", 2),
    ("timestamp('2026-01-02T03:04:05Z').getFullYear()", 2026),
    ("{'a': 1}.all(k, k == 'a') && self.l.exists_one(x, x == 1)", True),
    ("1 < 1.5 && 2 == 2.0 && self.l.filter(x, x > 1).map(x, x * 2) == [6, 4]", True),
    ("r'a\\d' + \"b\"  // what is behind is not read", "a\\db"),
]
ERRORS = [
    ("self.nope", "no such key: nope"),
    ("self.l[9]", "index out of bounds: 9"),
    ("1 / 0", "division by zero"),
    ("1 % 0", "modulus by zero"),
    ("9223372036854775807 + 1", "integer overflow"),
    ("1.lowerAscii()", "no such overload"),
    ("'a' + 1", "no such overload"),
    ("size(5)", "no such overload"),
    ("string(self)", "no such overload"),
    ("[1, 'a'].isSorted()", "no such overload"),
    ("[].min()", "min called on empty list"),
    ("[].max()", "max called on empty list"),
    ("'abc'.charAt(9)", "index out of range: 9"),
    ("'abc'.substring(2, 1)", "invalid substring range. start: 2, end: 1"),
    ("optional.none().value()", "optional.none() dereference"),
    ("ip('x')", 'IP Address "x" parse error during conversion from string: ParseAddr("x"): unable to parse IP'),
    ("cidr('x')", 'network address parse error during conversion from string: "x"'),
    ("quantity('1500m').asInteger()", "cannot convert value to integer"),
    ("'%d'.format([])", "index out of range: not enough arguments for the format"),
    ("'%q'.format([1])", 'could not parse formatting clause: unrecognized formatting clause "q"'),
    ("'%.9999f'.format([1.0])", "precision 9999 is too large"),
]


@pytest.mark.parametrize(("source", "value"), VALUES)
def test_a_function_answers_as_in_kubernetes(source: str, value: Any) -> None:
    found = programs.program(source).ask({"self": SELF})
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(("source", "reason"), ERRORS)
def test_what_has_no_answer_is_an_error_in_words(source: str, reason: str) -> None:
    with pytest.raises(programs.EvaluationError) as raised:
        programs.program(source).ask({"self": SELF})
    assert str(raised.value) == reason


@pytest.mark.parametrize("source", ["1 / 0 == 1 || true", "true || self.nope", "!(false && ip('x').isLoopback())"])
def test_an_error_that_does_not_matter_is_none(source: str) -> None:
    assert programs.program(source).ask({"self": SELF}) is True
