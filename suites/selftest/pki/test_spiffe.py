from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.pki import SpiffeId, SpiffeIdError
from suites.selftest.pki.properties import few

GOOD = {
    "spiffe://example.org": ("example.org", ""),
    "spiffe://example.org/a": ("example.org", "/a"),
    "spiffe://cluster.local/ns/default/sa/bookinfo-reviews": (
        "cluster.local",
        "/ns/default/sa/bookinfo-reviews",
    ),
    "spiffe://10.0.0.1/a": ("10.0.0.1", "/a"),
    "spiffe://my_domain-1/A.b_c-9/...": ("my_domain-1", "/A.b_c-9/..."),
    "spiffe://-/.a": ("-", "/.a"),
    f"spiffe://{'a' * 255}/{'b' * 1783}": ("a" * 255, "/" + "b" * 1783),
}

BAD = {
    "": "scheme",
    "spiffe:/example.org/a": "scheme",
    "spiffe//example.org/a": "scheme",
    "Spiffe://example.org/a": "scheme",
    "http://example.org/a": "scheme",
    " spiffe://example.org/a": "scheme",
    "spiffe://": "must not be empty",
    "spiffe:///a": "must not be empty",
    "spiffe://example.org/a ": "holds only",
    "spiffe://example.org/a\n": "holds only",
    "spiffe://example.org\n/a": "holds only",
    "spiffe://Example.org/a": "lower case",
    "spiffe://exämple.org/a": "holds only",
    "spiffe://ÉXAMPLE.org/a": "lower case",
    "spiffe://[::1]/a": "port",
    "spiffe://example.org:1/a": "port",
    "spiffe://example.org:/a": "port",
    "spiffe://u@example.org/a": "userinfo",
    "spiffe://u:p@example.org/a": "userinfo",
    "spiffe://@example.org/a": "userinfo",
    "spiffe://example%2Eorg/a": "percent",
    "spiffe://example.org/%61": "percent",
    "spiffe://example.org/a?": "query",
    "spiffe://example.org?a": "query",
    "spiffe://example.org/a#": "fragment",
    "spiffe://example.org#a": "fragment",
    "spiffe://example.org/": "trailing slash",
    "spiffe://example.org//": "trailing slash",
    "spiffe://example.org/a/": "trailing slash",
    "spiffe://example.org//a": "empty path segment",
    "spiffe://example.org/a//b": "empty path segment",
    "spiffe://example.org/.": "relative",
    "spiffe://example.org/a/../b": "relative",
    "spiffe://example.org/ä": "holds only",
    "spiffe://example.org/a:b": "holds only",
    "spiffe://example.org/a\x00b": "holds only",
    "spiffe://example.org/a\\b": "holds only",
    f"spiffe://{'a' * 256}/b": "255 bytes",
    f"spiffe://{'a' * 255}/{'b' * 1784}": "2048 bytes",
    f"spiffe://a/{'ä' * 1024}": "2048 bytes",
}


# For each rule that a refusal can name: is it true of what stands behind the scheme?
BROKEN: dict[str, Callable[[str], bool]] = {
    "no query component": lambda rest: "?" in rest,
    "no fragment component": lambda rest: "#" in rest,
    "the trust domain must not be empty": lambda rest: rest.split("/")[0] == "",
    "the userinfo part must be empty": lambda rest: "@" in rest.split("/")[0],
    "the port part must be empty": lambda rest: ":" in rest.split("/")[0],
    "no percent-encoding in the trust domain": lambda rest: "%" in rest.split("/")[0],
    "the trust domain must be in lower case": lambda rest: "Z" in rest.split("/")[0],
    "a trust domain holds only": lambda rest: " " in rest.split("/")[0],
    "no percent-encoding in the path": lambda rest: "%" in rest.partition("/")[2],
    "no trailing slash": lambda rest: rest.endswith("/"),
    "no empty path segment": lambda rest: "//" in rest,
    "no relative path modifier": lambda rest: bool({".", ".."} & set(rest.split("/")[1:])),
    "a path segment holds only": lambda rest: bool(set(" :@") & set(rest.partition("/")[2])),
}


def shortened(raw: str) -> str:
    """Name a case after its string; the long ones differ in their length.

    Without a backslash: pytest escapes it anew each time it collects, and mutmut finds the test no more.
    """
    return (ascii(raw) if len(raw) < 60 else f"{raw[:20]!a} of {len(raw)}").replace("\\", "~")


@pytest.mark.parametrize("raw", GOOD, ids=shortened)
def test_good_id_is_read_and_kept(raw: str) -> None:
    """A SPIFFE ID gives its parts, and itself, unchanged."""
    found = SpiffeId.parse(raw)
    assert (found.trust_domain, found.path) == GOOD[raw]
    assert found.raw == str(found) == raw


@pytest.mark.parametrize("raw", BAD, ids=shortened)
def test_bad_id_is_refused_by_its_rule(raw: str) -> None:
    """Anything else is refused, and the error names the rule and the string."""
    with pytest.raises(SpiffeIdError) as raised:
        SpiffeId.parse(raw)
    assert BAD[raw] in raised.value.rule
    assert "[SPIFFE-ID 2" in raised.value.rule
    assert raised.value.raw == raw
    assert len(raw) > 150 or repr(raw) in str(raised.value)


def test_workload_id_and_back() -> None:
    """The form for service accounts is built and taken apart."""
    made = SpiffeId.for_workload("cluster.local", "default", "reviews")
    assert made == SpiffeId.parse("spiffe://cluster.local/ns/default/sa/reviews")
    assert made.workload == ("default", "reviews")


@pytest.mark.parametrize(
    "path", ["", "/ns/a", "/ns/a/sa/b/c", "/NS/a/sa/b", "/x/ns/a/sa/b"], ids=lambda p: p or "none"
)
def test_other_paths_name_no_workload(path: str) -> None:
    """Only `/ns/<>/sa/<>` is the form for service accounts."""
    assert SpiffeId.parse(f"spiffe://example.org{path}").workload is None


@pytest.mark.parametrize(
    ("trust_domain", "namespace", "account"),
    [("a", "b/sa/c", "d"), ("a", "b", "c/d"), ("a/ns", "b", "c"), ("a", "", "c"), ("", "b", "c")],
    ids=["slash-in-namespace", "slash-in-account", "slash-in-domain", "no-namespace", "no-domain"],
)
def test_workload_id_cannot_be_smuggled(trust_domain: str, namespace: str, account: str) -> None:
    """A part that would change the meaning of the ID is refused."""
    with pytest.raises(SpiffeIdError):
        SpiffeId.for_workload(trust_domain, namespace, account)


@few
@given(st.text(max_size=80).map(lambda text: "spiffe://" + text))
def test_whatever_is_accepted_is_kept(raw: str) -> None:
    """An accepted ID is put together from its parts exactly as it was given."""
    try:
        found = SpiffeId.parse(raw)
    except SpiffeIdError:
        return
    assert f"spiffe://{found.trust_domain}{found.path}" == raw
    assert raw.isascii()
    assert not {"", ".", ".."} & set(found.path.split("/")[1:])


@few
@given(st.text("aZ0.-_/%:@?# ", max_size=40).map(lambda text: "spiffe://" + text))
def test_every_refusal_has_its_reason(raw: str) -> None:
    """The rule that a refusal names is really broken by the string."""
    try:
        SpiffeId.parse(raw)
    except SpiffeIdError as error:
        rule = error.rule.partition(" [")[0]
        assert BROKEN[rule](raw.removeprefix("spiffe://")), rule
