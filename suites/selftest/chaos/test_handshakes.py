"""How the proxies' counters are read: from each of them, and no gap is taken for a zero."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.chaos import handshakes
from fixtures.chaos.checks import Counters
from fixtures.chaos.load_checks import Handshakes

HOPS = [("client", "productpage"), ("productpage", "details")]
PODS = {"client": "client-pod", "productpage": "productpage-pod", "details": "details-pod"}
CLUSTERS, SSL = "/clusters", "/stats?filter=ssl"


def clusters(target: str, connections: int, requests: int) -> str:
    endpoint = f"outbound|9080||{target}.bookinfo.svc.cluster.local::10.0.0.7:9080"
    return f"{endpoint}::cx_total::{connections}\n{endpoint}::rq_total::{requests}\n"


def ssl(handshake: int, resumed: int) -> str:
    listener = "listener.0.0.0.0_15006.ssl"
    return f"{listener}.handshake: {handshake}\n{listener}.session_reused: {resumed}\n"


class Proxies:
    """Answers what each proxy was told to say, and nothing else that is asked."""

    def __init__(self, answers: dict[tuple[str, str], str]) -> None:
        self.answers = answers

    def fetch(self, namespace: str, pod: str, port: int, path: str) -> str:
        assert (namespace, port) == ("bookinfo", 15000)
        return self.answers[pod, path]


def test_every_callers_proxy_is_asked_for_its_counters() -> None:
    proxies: Any = Proxies(
        {
            ("client-pod", CLUSTERS): clusters("productpage", 3, 4),
            ("productpage-pod", CLUSTERS): clusters("details", 5, 6),
        }
    )
    assert handshakes.read_counters(proxies, "bookinfo", PODS, HOPS) == {
        ("client", "productpage", "10.0.0.7:9080"): Counters(3, 4),
        ("productpage", "details", "10.0.0.7:9080"): Counters(5, 6),
    }


def test_an_endpoint_with_half_of_its_counters_is_left_out() -> None:
    whole = clusters("details", 5, 6)
    assert handshakes.parse(whole.splitlines()[0]) == {}
    assert handshakes.parse(f"outbound|9080||\n{whole}") == {("details", "10.0.0.7:9080"): Counters(5, 6)}


def test_a_servers_handshakes_are_read_from_its_own_proxy() -> None:
    proxies: Any = Proxies({("details-pod", SSL): ssl(7, 2)})
    assert handshakes.read_handshakes(proxies, "bookinfo", "details-pod") == Handshakes(total=7, resumed=2)


@pytest.mark.parametrize(("answer", "resumed"), [(ssl(7, 2), 2), ("", None)], ids=["counts", "counts-not"])
def test_resumed_sessions_of_every_target(answer: str, resumed: int | None) -> None:
    proxies: Any = Proxies({("productpage-pod", SSL): ssl(9, 1), ("details-pod", SSL): answer})
    found = handshakes._resumed(proxies, "bookinfo", PODS, HOPS)
    assert found == {"productpage": 1, "details": resumed}
