"""SPIRE's own JSON, as `spire-server ... -output json` prints it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures.cluster.kube import Kube
from fixtures.cluster.run import CommandError
from fixtures.pki import TrustBundle, mint
from fixtures.probe import spire
from suites.selftest.cluster.commands import Commands

KUBE = Kube(Path("/k"), "kind-mesh", Path("kubectl"))
COMMAND = (
    "exec spire/spire-server-0 spire-server"
    " /opt/spire/bin/spire-server {} -socketPath /run/spire/sockets/api.sock -output json"
)
Answer = Callable[[str, Any], None]


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Answer:
    """Let the server answer one of its commands."""
    table = Commands()
    monkeypatch.setattr(Kube, "exec", table.exec)
    return lambda words, data: table.prints(COMMAND.format(words), json.dumps(data))


def spiffe_id(path: str) -> dict[str, str]:
    return {"trust_domain": "example.org", "path": path}


def test_entries_are_read(answer: Answer) -> None:
    selectors = [{"type": "k8s", "value": value} for value in ("pod-uid:u1", "ns:bookinfo")]
    entry = {
        "id": "e1",
        "spiffe_id": spiffe_id("/ns/bookinfo/sa/details"),
        "parent_id": spiffe_id("/spire/agent/k8s_psat/demo/n1"),
        "selectors": selectors,
        "dns_names": ["details.bookinfo.svc", "details"],
        "revision_number": "0",
    }
    answer("entry show", {"entries": [entry], "next_page_token": ""})

    (found,) = spire.entries(KUBE)

    assert (found.id, found.spiffe_id) == ("e1", "spiffe://example.org/ns/bookinfo/sa/details")
    assert found.parent_id == "spiffe://example.org/spire/agent/k8s_psat/demo/n1"
    assert found.selectors == ("k8s:ns:bookinfo", "k8s:pod-uid:u1")
    assert found.dns_names == ("details.bookinfo.svc", "details")


def test_entry_selects_the_pod_of_its_uid_and_no_other() -> None:
    entry = spire.Entry("e1", "", "", ("k8s:pod-uid:u1",), ())

    assert entry.selects_pod("u1")
    assert not entry.selects_pod("u")
    assert not entry.selects_pod("u11")


def test_agents_are_read_with_the_node_that_attested(answer: Answer) -> None:
    selectors = [
        {"type": "k8s_psat", "value": "agent_node_name:mesh-worker"},
        {"type": "k8s_psat", "value": "agent_node_uid:n1"},
        {"type": "k8s_psat", "value": "agent_pod_name:spire-agent-x"},
        {"type": "k8s_psat", "value": "agent_node_label:a:b"},
        {"type": "other", "value": "no colon in it"},
    ]
    agent = {"id": spiffe_id("/spire/agent/k8s_psat/demo/n1"), "selectors": selectors}
    answer("agent list", {"agents": [agent]})

    assert spire.agents(KUBE) == [
        spire.Agent("spiffe://example.org/spire/agent/k8s_psat/demo/n1", "mesh-worker", "n1", "spire-agent-x")
    ]


def test_every_authority_of_the_bundle_is_read(answer: Answer) -> None:
    certs = [mint.authority().cert, mint.authority().cert]
    authorities = [{"asn1": base64.b64encode(mint.der(cert)).decode(), "tainted": False} for cert in certs]
    answer("bundle show", {"trust_domain": "example.org", "x509_authorities": authorities})

    assert spire.server_bundle(KUBE).same_as(TrustBundle(tuple(certs)))
    assert spire.bundle_trust_domain(KUBE) == "example.org"


def test_active_authority_is_told_by_its_key_id(answer: Answer) -> None:
    answer("localauthority x509 show", {"active": {"authority_id": "ab12"}, "old": None})

    assert spire.local_authority(KUBE) == "ab12"


@pytest.mark.parametrize(
    ("shown", "signing"),
    [
        ({"active": {"authority_id": "a"}, "prepared": {"authority_id": "b"}, "old": None}, {"a"}),
        ({"active": {"authority_id": "b"}, "prepared": None, "old": {"authority_id": "a"}}, {"a", "b"}),
    ],
)
def test_authorities_that_may_have_signed_are_the_active_and_the_old_one(
    shown: dict[str, Any], signing: set[str], answer: Answer
) -> None:
    answer("localauthority x509 show", shown)

    assert spire.signing_authorities(KUBE) == signing


def test_server_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Commands()
    table.fails(COMMAND.format("entry show"), "connection refused")
    monkeypatch.setattr(Kube, "exec", table.exec)

    with pytest.raises(CommandError, match="connection refused"):
        spire.entries(KUBE)
