"""A client outside the mesh that tries certificates on a workload."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import yaml

from fixtures.cluster.kube import Kind
from fixtures.cluster.timeouts import timeouts
from fixtures.cluster.wait import WaitTimeoutError, wait_for
from fixtures.pki import mint
from fixtures.probe.knock import (
    Door,
    Knock,
    Request,
    ask,
    is_logged,
    knock,
    opened,
    refused_faults,
    served_faults,
)
from fixtures.probe.layout import DEMO, ISTIO
from fixtures.probe.secrets import mesh_root
from fixtures.probe.wire import AccessLine
from fixtures.report.outcomes import NothingObserved
from suites.wire.bookinfo import ECHO_PORT, PORT, Bookinfo, applied

OUTSIDER = "meshproof-outsider"
# The workload whose proxy is tried, and the one that calls it: as that one the client poses.
TRIED, CALLER = "ratings", "reviews"
_ONE_CALLER = "meshproof-one-caller"
_POLICY = Kind("security.istio.io/v1", "AuthorizationPolicy")


@dataclass(frozen=True)
class Knocker:
    """Who tries certificates on the proxy of `TRIED`.

    Attributes:
        signer: An intermediate of the mesh's root, with its key.
        namespace: Where the pod `OUTSIDER` is.
    """

    bookinfo: Bookinfo
    signer: mint.Issued
    namespace: str = DEMO

    def ask(self, presented: Mapping[str, mint.Issued]) -> dict[str, Request]:
        """Send a request with each certificate to the HTTP port alone."""
        with self._opened() as door:
            return {name: ask(door, issued) for name, issued in presented.items()}

    def knock(self, presented: Mapping[str, mint.Issued | None]) -> Knocked:
        """Try certificates, one after the other, and wait until the proxy has logged all of them.

        What it has not logged by then is left to the judgement: a port that speaks no TLS logs none.
        """
        start = datetime.now(UTC)
        with self._opened() as door:
            seen = {name: knock(door, issued) for name, issued in presented.items()}

        def unlogged() -> list[str]:
            log[:] = self.bookinfo.access_logs([TRIED], start)[TRIED]
            return [name for name, one in seen.items() if not is_logged(one, log)]

        log: list[AccessLine] = []
        with suppress(WaitTimeoutError):
            wait_for(
                unlogged,
                lambda names: not names,
                condition=f"the proxy of {TRIED} has logged each of {len(seen)} certificates",
                timeout=timeouts().log_line,
                delay=0.5,
            )
        return Knocked(seen, log, self.bookinfo.spiffe_id(TRIED))

    def _opened(self) -> AbstractContextManager[Door]:
        kube = self.bookinfo.kube
        ports = {"http": PORT, "echo": ECHO_PORT}
        return opened(kube, namespace=self.namespace, outsider=OUTSIDER, **ports, roots=mesh_root(kube))


@dataclass(frozen=True)
class Knocked:
    """What became of certificates, by their names.

    Attributes:
        log: What the proxy logged meanwhile.
        workload: The SPIFFE ID of the workload.
    """

    seen: Mapping[str, Knock]
    log: Sequence[AccessLine]
    workload: str

    def refused(self, name: str, reason: str, *alerts: str) -> list[str]:
        """Say what keeps a certificate from having been refused for this reason."""
        one = self.seen[name]
        found = refused_faults(one, self.log, workload=self.workload, alerts=alerts, reason=reason)
        return [f"{name}: {fault}" for fault in found]

    def served(self, name: str) -> list[str]:
        """Say what keeps a certificate from having been accepted."""
        return [
            f"{name}: {fault}" for fault in served_faults(self.seen[name], self.log, workload=self.workload)
        ]


def forbid_policies(bookinfo: Bookinfo) -> None:
    """Make sure that what is refused is refused for its certificate, and by no policy.

    Raises:
        NothingObserved: An AuthorizationPolicy is there.
    """
    if found := [
        one["metadata"]["name"] for space in (DEMO, ISTIO) for one in bookinfo.kube.list(_POLICY, space)
    ]:
        raise NothingObserved(f"an AuthorizationPolicy is in force: {', '.join(found)}")


@contextmanager
def only_caller(bookinfo: Bookinfo, spiffe_id: str) -> Iterator[None]:
    """Let nobody but one identity call the workload, and wait until its proxy does, and no longer does."""
    policy = yaml.safe_dump(
        {
            "apiVersion": "security.istio.io/v1",
            "kind": "AuthorizationPolicy",
            "metadata": {"name": _ONE_CALLER, "namespace": DEMO},
            "spec": {
                "selector": {"matchLabels": {"app": TRIED}},
                "action": "ALLOW",
                "rules": [{"from": [{"source": {"principals": [spiffe_id.removeprefix("spiffe://")]}}]}],
            },
        }
    )
    try:
        with applied(bookinfo.kube, policy):
            _await_policy(bookinfo, present=True)
            yield
    finally:
        # Whoever comes next must not be refused by it.
        _await_policy(bookinfo, present=False)


def _await_policy(bookinfo: Bookinfo, *, present: bool) -> None:
    wait_for(
        lambda: f"policy[{_ONE_CALLER}]" in bookinfo.inbound(TRIED),
        lambda found: found == present,
        condition=f"the proxy of {TRIED} {'has' if present else 'has no longer'} the policy {_ONE_CALLER}",
        timeout=timeouts().manifest_applied,
        delay=0.5,
    )
