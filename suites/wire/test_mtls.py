"""Mutual TLS between the workloads, as the two proxies of each call saw it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fixtures.probe.layout import ISTIO
from fixtures.report.catalogue import conformance
from suites.wire.bookinfo import (
    CLIENT,
    INGRESS,
    PORT,
    Bookinfo,
    await_fresh,
    held_meanwhile,
    unique_path,
)
from suites.wire.calls import await_hops, judge

_FROM_CLIENT = (
    (CLIENT, "productpage"),
    ("productpage", "details"),
    ("productpage", "reviews"),
    ("reviews", "ratings"),
)
_FROM_INGRESS = ((INGRESS, "productpage"),)
_CALLS = _FROM_CLIENT + _FROM_INGRESS
_CALLERS = tuple(dict.fromkeys(caller for caller, _ in _CALLS))


@conformance(id="wire/mtls-strict")
@pytest.mark.usefixtures("one_request_per_connection")
def test_mtls_strict(bookinfo: Bookinfo) -> None:
    """Every call between workloads is mutual TLS with the SVIDs that SPIRE gave their proxies.

    > Istio, PeerAuthentication, STRICT: "Connection is an mTLS tunnel (TLS with client cert must
    > be presented)."

    Each proxy tells who was at the other end, and the callee's the serial that was on the wire:
    it must be one of SPIRE's that the caller's proxy held before or after the request, so that a
    renewal in between does no harm. The serial is the handshake's: each request here gets a connection
    of its own.

    Break: mTLS disabled for one workload, or a proxy with a certificate of istiod's.
    """
    start = datetime.now(UTC)
    path, ingress_path = unique_path(), unique_path()
    await_fresh(bookinfo, _CALLS)
    with held_meanwhile(bookinfo, _CALLERS) as held:
        bookinfo.get(f"http://productpage:{PORT}{path}")
        bookinfo.get(f"http://{INGRESS}.{ISTIO}:80{ingress_path}")
    calls = [
        *((*call, path) for call in _FROM_CLIENT),
        *((*call, ingress_path) for call in _FROM_INGRESS),
    ]
    faults = judge(bookinfo, await_hops(bookinfo, calls, start), held)
    assert not faults, "; ".join(faults)
