"""Whom a caller takes for the service that it calls."""

from __future__ import annotations

from datetime import UTC, datetime

import yaml

from fixtures.cluster.timeouts import timeouts
from fixtures.cluster.wait import wait_for
from fixtures.probe.layout import DEMO
from fixtures.probe.wire import unbelieved_faults
from fixtures.report.catalogue import conformance
from suites.wire.bookinfo import CLIENT, PORT, Bookinfo, applied, unique_path
from suites.wire.calls import await_lines

_CALLEE = "details"


@conformance(id="wire/san-mismatch-refused", requires={"spire"})
def test_another_name_is_refused(bookinfo: Bookinfo) -> None:
    """A callee whose certificate is good, but of another name than the caller expects, gets no request.

    > Istio, ClientTLSSettings, subjectAltNames: "A list of alternate names to verify the subject identity in
    > the certificate. If specified, the proxy will verify that the server certificate's subject alt name
    > matches one of the specified values."

    The reason stands in the caller's access log; the callee's has no such request. With the rule gone the
    same call is served.

    Break: a rule that is not there; TLS without its verification.
    """
    start = datetime.now(UTC)
    path, later_path = unique_path(), unique_path()
    expected = f"{bookinfo.spiffe_id(_CALLEE)}-of-another"
    with applied(bookinfo.kube, yaml.safe_dump(_rule(expected))):
        _await(bookinfo, expected, present=True)
        reply = bookinfo.get(f"http://{_CALLEE}:{PORT}{path}")
    _await(bookinfo, expected, present=False)
    later = bookinfo.get(f"http://{_CALLEE}:{PORT}{later_path}")
    faults = [] if later.code == 200 else [f"without the rule: answered {later.code} {later.error}"]
    # Where the callee has logged the later request, it would have logged the earlier one.
    names = [CLIENT, _CALLEE] if later.code == 200 else [CLIENT]
    logs = await_lines(bookinfo, names, [later_path], start)
    faults += unbelieved_faults(reply, logs[CLIENT], logs.get(_CALLEE, []), path)
    assert not faults, f"{CLIENT} -> {_CALLEE}: {'; '.join(faults)}"


def _rule(spiffe_id: str) -> dict[str, object]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "meshproof-another-name", "namespace": DEMO},
        "spec": {
            "host": f"{_CALLEE}.{DEMO}.svc.cluster.local",
            # Nobody else's calls, while they are looked at as well.
            "workloadSelector": {"matchLabels": {"app": CLIENT}},
            "trafficPolicy": {"tls": {"mode": "ISTIO_MUTUAL", "subjectAltNames": [spiffe_id]}},
        },
    }


def _await(bookinfo: Bookinfo, spiffe_id: str, *, present: bool) -> None:
    wait_for(
        lambda: any(f'"{spiffe_id}"' in one for one in bookinfo.outbound(CLIENT)),
        lambda found: found == present,
        condition=f"the proxy of {CLIENT} {'expects' if present else 'no longer expects'} {spiffe_id}",
        timeout=timeouts().manifest_applied,
        delay=0.5,
    )
