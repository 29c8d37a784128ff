"""Whom a caller takes for the service that it calls."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import yaml

from fixtures.cluster.kube import Object
from fixtures.cluster.timeouts import timeouts
from fixtures.cluster.wait import wait_for
from fixtures.probe.layout import DEMO
from fixtures.probe.wire import unbelieved_faults
from fixtures.report.catalogue import conformance
from suites.wire.bookinfo import CLIENT, PORT, Bookinfo, applied, await_endpoint, unique_path
from suites.wire.calls import await_lines

_CALLEE = "details"
# The same workload under a name of its own: nobody else's calls are touched.
_SERVICE = "meshproof-another-name"
_SPIFFE_ID = re.compile(r'"(spiffe://[^"]+)"')


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
    right = bookinfo.spiffe_id(_CALLEE)
    wrong = f"{right}-of-another"
    with applied(bookinfo.kube, yaml.safe_dump(_service())):
        await_endpoint(bookinfo, _SERVICE, _CALLEE)
        with applied(bookinfo.kube, yaml.safe_dump(_rule(wrong))):
            _await_expected(bookinfo, wrong)
            reply = bookinfo.get(f"http://{_SERVICE}:{PORT}{path}")
        _await_expected(bookinfo, right)
        later = bookinfo.get(f"http://{_SERVICE}:{PORT}{later_path}")
    faults = [] if later.code == 200 else [f"without the rule: answered {later.code} {later.error}"]
    # Where the callee has logged the later request, it would have logged the earlier one.
    names = [CLIENT, _CALLEE] if later.code == 200 else [CLIENT]
    logs = await_lines(bookinfo, names, [later_path], start)
    faults += unbelieved_faults(reply, logs[CLIENT], logs.get(_CALLEE, []), path)
    assert not faults, f"{CLIENT} -> {_CALLEE}: {'; '.join(faults)}"


def _service() -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": _SERVICE, "namespace": DEMO},
        "spec": {"selector": {"app": _CALLEE}, "ports": [{"name": "http", "port": PORT}]},
    }


def _rule(spiffe_id: str) -> Object:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": _SERVICE, "namespace": DEMO},
        "spec": {
            "host": f"{_SERVICE}.{DEMO}.svc.cluster.local",
            "trafficPolicy": {"tls": {"mode": "ISTIO_MUTUAL", "subjectAltNames": [spiffe_id]}},
        },
    }


def _await_expected(bookinfo: Bookinfo, spiffe_id: str) -> None:
    """Wait until the caller's proxy expects this identity, and no other, of the service."""

    def expected() -> list[str]:
        clusters = [one for one in bookinfo.outbound(CLIENT) if f"||{_SERVICE}.{DEMO}." in one]
        return sorted({name for one in clusters for name in _SPIFFE_ID.findall(one)})

    wait_for(
        expected,
        lambda found: found == [spiffe_id],
        condition=f"the proxy of {CLIENT} expects {spiffe_id} of {_SERVICE}",
        timeout=timeouts().manifest_applied,
        delay=0.5,
    )
