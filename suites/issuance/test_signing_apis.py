"""The two that sign, istiod and SPIRE's server: what they sign for whoever can reach them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from fixtures.pki import SpiffeId, TrustBundle, mint, uri_sans
from fixtures.probe import spire
from fixtures.probe.forged import signing_request
from fixtures.probe.grpc import Code, Token
from fixtures.probe.layout import SERVER_SOCKET, SPIRE
from fixtures.probe.rogue_agent import attest
from fixtures.probe.secrets import mesh_root
from fixtures.probe.signing_apis import (
    ISTIOD_PORT,
    SPIRE_PORT,
    Signed,
    ask_istiod,
    mint_at_spire,
    new_svid_at_spire,
    register_at_spire,
)
from fixtures.report.catalogue import conformance
from fixtures.report.outcomes import NothingObserved
from suites.issuance.attacks import Ground, Open, judge
from suites.wire.knocking import OUTSIDER, TRIED

_REFUSED = (Code.PERMISSION_DENIED, Code.UNAUTHENTICATED)


@conformance(id="issuance/stranger-cannot-reach-signing-apis", requires={"spire"})
def test_the_signers_sign_nobody_elses_identity(ground: Ground) -> None:
    """Of istiod and SPIRE's server, a stranger gets the certificate of his own service account only.

    > "SPIRE requires that each agent authenticate and verify itself when it first connects to a server; this
    > process is called node attestation" (SPIRE Concepts). istiod signs for the identity in the token of
    > whoever asks, whatever the request says (istio, `security/pkg/server/ca/server.go`).

    istiod is asked without a token, with his own and the victim's name in the request, and to impersonate
    the victim. SPIRE's server is asked to sign, to sign for an entry and to register, by a client without
    a certificate and by one with that of istiod; and an agent of his own attests with a service account
    that has the name of SPIRE's. What is signed for the victim is presented.

    Break: an entry by which his identity is an administrator of SPIRE's.
    """
    his, roots = ground.stranger, mesh_root(ground.stranger.own)
    key = mint.new_key("p256")
    pem = signing_request(key, [ground.victim])
    own_id = SpiffeId.for_workload(ground.mesh.trust_domain, his.namespace, "default").raw
    words = ("create", "token", "default", "-n", his.namespace, "--audience=istio-ca")
    token = Token(his.kube.kubectl_run(*words).strip())
    with his.own.forward(his.namespace, f"pod/{OUTSIDER}", ISTIOD_PORT) as istiod:
        own = _own(ask_istiod(istiod, token, pem, roots), own_id, key)
        asked = {
            "istiod, no token": ask_istiod(istiod, None, pem, roots),
            "istiod, impersonation": ask_istiod(istiod, token, pem, roots, impersonate=ground.victim),
        }
    with his.own.forward(his.namespace, f"pod/{OUTSIDER}", SPIRE_PORT) as server:
        for name, presents in (("no certificate", None), ("istiod's certificate", own)):
            asked |= _ask_spire(ground, server, pem, roots, name, presents)
    found = [*_opened(ground, asked, key, roots), *_rogue_agent(ground)]
    judge(ground, "signingApis", found)


def _own(signed: Signed, spiffe_id: str, key: mint.PrivateKey) -> mint.Issued:
    """Return the certificate of his own service account; that he gets it shows that the API answers him."""
    if not signed.certificates or uri_sans(signed.certificates[0]) != (spiffe_id,):
        raise NothingObserved(f"istiod did not sign for {spiffe_id}: {signed}")
    leaf, *above, root = signed.certificates
    return mint.Issued(leaf, key, tuple(above), root)


def _ask_spire(
    ground: Ground, port: int, pem: bytes, roots: TrustBundle, name: str, presents: mint.Issued | None
) -> Mapping[str, Signed]:
    kube = ground.stranger.own
    victim = SpiffeId.parse(ground.victim)
    (entry, *_) = (one for one in spire.entries(kube) if one.spiffe_id == ground.victim)
    der = x509.load_pem_x509_csr(pem).public_bytes(Encoding.DER)
    registered = register_at_spire(
        port, victim, SpiffeId.parse(entry.parent_id), ["k8s:ns:nowhere"], roots, presents
    )
    if registered.code == Code.OK and registered.entry:
        server = "/opt/spire/bin/spire-server"
        words = ("entry", "delete", "-entryID", registered.entry, "-socketPath", SERVER_SOCKET)
        kube.exec(SPIRE, "spire-server-0", "spire-server", server, *words)
    return {
        f"SPIRE, minting, {name}": mint_at_spire(port, der, roots, presents),
        f"SPIRE, an entry's SVID, {name}": new_svid_at_spire(port, entry.id, der, roots, presents),
        f"SPIRE, registration, {name}": registered,
    }


def _opened(
    ground: Ground, asked: Mapping[str, Signed], key: mint.PrivateKey, roots: TrustBundle
) -> Iterator[Open]:
    for way, signed in asked.items():
        if signed.code in _REFUSED or signed.answer.end.startswith("alert "):
            continue
        if signed.code != Code.OK:
            raise NothingObserved(f"{way}: {signed}")
        what = str(signed)
        if signed.certificates:
            leaf, *above = signed.certificates
            between = tuple(cert for cert in above if cert not in roots.authorities)
            presented = mint.Issued(leaf, key, between, roots.authorities[0])
            seen = ground.knocker.ask({way: presented})[way]
            what += f", and {TRIED} answered {seen.reply.code or seen.seen}"
        yield Open(way, what)


def _rogue_agent(ground: Ground) -> list[Open]:
    his = ground.stranger
    image = ground.mesh.image("spire-agent")
    refused = attest(his.kube, image, namespace=his.namespace, trust_domain=ground.mesh.trust_domain)
    return [] if refused else [Open("SPIRE, attestation", "its server took his agent for its node's")]
