"""Who may call a workload, by the identity in the certificate."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fixtures.probe.forged import proper_leaf
from fixtures.probe.layout import DEMO
from fixtures.probe.wire import access_faults, no_access_faults
from fixtures.report.catalogue import conformance
from suites.wire.bookinfo import (
    CLIENT,
    PORT,
    Bookinfo,
    await_fresh,
    held_meanwhile,
    unique_path,
)
from suites.wire.calls import await_hops, await_lines, judge
from suites.wire.knocking import CALLER, TRIED, Knocker, only_caller


@conformance(id="wire/right-root-wrong-service-account-denied", requires={"spire"})
@pytest.mark.usefixtures("one_request_per_connection")
def test_another_service_account_is_denied(bookinfo: Bookinfo, knocker: Knocker) -> None:
    """Of callers whose certificates are equally good, only the one whom a policy names is let in.

    > Istio, AuthorizationPolicy: "If any of the ALLOW policies match the request, allow the request. Deny
    > the request." A principal is the peer's SPIFFE ID without its scheme, and "Exact match: "abc" will match
    > on value "abc"".

    The policy names the service account of the workload that calls it. Another workload gets 403, and so
    do certificates of our own whose SPIFFE ID comes near the right one; one with the right ID gets 200. The
    proxy gives the reason, and whom it saw.

    Break: a policy that allows a prefix, or a namespace, or that is not there.
    """
    start = datetime.now(UTC)
    path, wrong_path = unique_path(), unique_path()
    right_id, wrong_id = bookinfo.spiffe_id(CALLER), bookinfo.spiffe_id(CLIENT)
    posing = {
        "right": right_id,
        "below": f"{right_id}/below",
        "other-case": right_id.replace(CALLER, CALLER.upper()),
        "other-namespace": right_id.replace(f"/ns/{DEMO}/", "/ns/default/"),
        "shorter": right_id[:-1],
    }
    leaves = {name: proper_leaf(knocker.signer, uri, now=start) for name, uri in posing.items()}
    url = f"http://{TRIED}:{PORT}"
    with only_caller(bookinfo, right_id):
        await_fresh(bookinfo, [(CALLER, TRIED), (CLIENT, TRIED)])
        with held_meanwhile(bookinfo, [CALLER]) as held:
            bookinfo.get(f"{url}{path}", sender=bookinfo.pods[CALLER].name)
        denied = bookinfo.get(f"{url}{wrong_path}")
        asked = knocker.ask(leaves)
        paths = [path, wrong_path, *(one.path for one in asked.values())]
        log = await_lines(bookinfo, [TRIED], paths, start)[TRIED]
    faults = judge(bookinfo, await_hops(bookinfo, [(CALLER, TRIED, path)], start), held)
    refused = no_access_faults(denied, log, wrong_path, caller_id=wrong_id)
    faults += [f"{CLIENT}: {fault}" for fault in refused]
    right = asked.pop("right")
    faults += [
        f"{right_id}: {fault}" for fault in access_faults(right.reply, log, right.path, caller_id=right_id)
    ]
    for name, one in asked.items():
        refused = no_access_faults(one.reply, log, one.path, caller_id=posing[name])
        faults += [f"{posing[name]}: {fault}" for fault in refused]
    assert not faults, "; ".join(faults)
