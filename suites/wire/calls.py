"""Calls between workloads, watched from both ends."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from fixtures.cluster.timeouts import timeouts
from fixtures.cluster.wait import wait_for
from fixtures.probe.wire import AccessLine, Hop, hop_faults, hop_of
from suites.wire.bookinfo import Bookinfo, Held


def await_hops(bookinfo: Bookinfo, calls: Iterable[tuple[str, str, str]], since: datetime) -> list[Hop]:
    """Wait until the access logs show each call, and return what they show.

    Args:
        bookinfo: The workloads.
        calls: Caller, callee, and the path of the request, which no other request has.
        since: Just before the requests.
    """
    wanted = tuple(calls)
    names = {name for caller, callee, _ in wanted for name in (caller, callee)}

    def observe() -> list[Hop]:
        logs = bookinfo.access_logs(names, since)
        return [hop_of(caller, callee, path, logs[caller], logs[callee]) for caller, callee, path in wanted]

    return wait_for(
        observe,
        _is_over,
        condition="the access logs show every call of the requests",
        timeout=timeouts().log_line,
    )


def judge(
    bookinfo: Bookinfo,
    hops: Iterable[Hop],
    held: Held,
    authorities: Mapping[str, Collection[str]] | None = None,
) -> list[str]:
    """Say what keeps calls from being mutual TLS, each caller with a certificate that it held.

    Args:
        bookinfo: The workloads.
        hops: The calls.
        held: What the callers held meanwhile.
        authorities: By caller, the key ids of those who sign for it where that is not SPIRE.
    """
    return [
        f"{hop.caller} -> {hop.callee}: {fault}"
        for hop in hops
        for fault in hop_faults(
            hop,
            caller_id=bookinfo.spiffe_id(hop.caller),
            callee_id=bookinfo.spiffe_id(hop.callee),
            serials=held.serials(hop.caller, (authorities or {}).get(hop.caller, ())),
        )
    ]


def await_lines(
    bookinfo: Bookinfo, names: Sequence[str], paths: Sequence[str], since: datetime
) -> dict[str, list[AccessLine]]:
    """Wait until the proxies of all these workloads have logged all these requests."""
    return wait_for(
        lambda: bookinfo.access_logs(names, since),
        lambda logs: all(any(line.path == path for line in logs[name]) for name in names for path in paths),
        condition=f"the proxies of {', '.join(names)} have logged the requests",
        timeout=timeouts().log_line,
    )


def _is_over(hops: Collection[Hop]) -> bool:
    """Say whether all calls are logged; one that failed keeps its callee from calling on."""
    failed = {hop.callee for hop in hops if any(line.code != 200 for line in hop.callers)}
    return all(hop.complete or hop.caller in failed for hop in hops)
