"""Each forged certificate breaks the one rule that it is named after, and no other."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, cast

import pytest
import yaml
from cryptography import x509

from fixtures.cluster.failures import ClusterError
from fixtures.cluster.kube import Kind, Kube, Object
from fixtures.pki import TrustBundle, judge_svid, mint
from fixtures.pki import mismatch as m
from fixtures.probe import forged

NOON = mint.NOON
ROOT = mint.authority(mint.CERT_MANAGER_ROOT)
SIGNER = mint.intermediate(ROOT, replace(mint.INTERMEDIATE, uris=()))
CALLER = mint.WORKLOAD
OTHER = f"{mint.WORKLOAD}-2"
FORGED = forged.forge(SIGNER, spiffe_id=CALLER, other_id=OTHER, now=NOON)

BROKEN: dict[str, list[type[m.Mismatch]]] = {
    forged.PROPER: [],
    forged.WITHIN_PATH_LENGTH: [],
    forged.FOREIGN_ROOT: [m.NoTrustAnchor],
    forged.FOREIGN_TRUST_DOMAIN: [m.ForeignTrustDomain],
    forged.EXPIRED: [m.Expired],
    forged.NOT_YET_VALID: [m.NotYetValid],
    forged.CA_FLAG: [m.LeafIsCa],
    forged.SIGNS_CERTIFICATES: [m.LeafKeyCertSign],
    forged.BEYOND_PATH_LENGTH: [m.PathTooLong],
    forged.TWO_IDS: [m.ExtraUriSans],
    forged.TWO_IDS_OTHER_FIRST: [m.ExtraUriSans],
    forged.TWO_TRUST_DOMAINS: [m.ExtraUriSans],
    forged.FOREIGN_PURPOSE: [m.IncompleteExtendedKeyUsage],
}


def broken(one: mint.Issued) -> list[type[m.Mismatch]]:
    roots = TrustBundle((ROOT.cert,))
    verdict = judge_svid(one.chain, roots, now=NOON, trust_domain=mint.TRUST_DOMAIN)
    return [type(found) for found in verdict.mismatches]


@pytest.mark.parametrize("name", BROKEN)
def test_forged_certificate_breaks_one_rule(name: str) -> None:
    assert broken(FORGED[name]) == BROKEN[name]


def test_every_forged_certificate_is_judged_here() -> None:
    assert list(FORGED) == list(BROKEN)


def test_leaf_of_any_name_is_right_otherwise() -> None:
    leaf = forged.proper_leaf(SIGNER, CALLER, now=NOON)

    assert broken(leaf) == []
    assert leaf.above == (SIGNER.cert,)


@dataclass
class CertManager:
    """In place of a cluster: its cert-manager answers every request in the same way."""

    condition: Object = field(default_factory=dict)
    asked: list[tuple[str, ...]] = field(default_factory=list)
    request: Object = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)

    def kubectl_run(self, *words: str, stdin: str) -> str:
        self.asked.append(words)
        self.request = yaml.safe_load(stdin)
        return ""

    def get(self, kind: Kind, name: str, namespace: str) -> Object:
        assert (kind.name, namespace) == ("CertificateRequest", "cert-manager")
        assert name == self.request["metadata"]["name"]
        if self.condition:
            return {"status": {"conditions": [self.condition]}}
        csr = x509.load_pem_x509_csr(base64.b64decode(self.request["spec"]["request"]))
        key = cast(Any, csr.public_key())
        cert = mint.sign(mint.INTERMEDIATE, key=_Public(key), by=ROOT.cert, with_key=ROOT.key)  # type: ignore[arg-type]
        status = {"certificate": _encoded(cert), "ca": _encoded(ROOT.cert)}
        return {"status": status}

    def delete(self, kind: Kind, name: str, namespace: str) -> bool:
        self.deleted.append(f"{kind.name} {namespace}/{name}")
        return True


@dataclass(frozen=True)
class _Public:
    """A key of which only the public half is known."""

    half: Any

    def public_key(self) -> Any:
        return self.half


def _encoded(cert: x509.Certificate) -> str:
    return base64.b64encode(mint.pem(cert)).decode()


def test_signer_is_asked_for_in_the_name_of_spires_server_and_the_request_goes() -> None:
    cluster = CertManager()
    signer = forged.mesh_signer(cast(Kube, cluster), lifetime=timedelta(minutes=3))

    assert cluster.asked == [("create", "--as=system:serviceaccount:spire:spire-server", "-f", "-")]
    spec = cluster.request["spec"]
    assert (spec["isCA"], spec["duration"]) == (True, "180s")
    assert "PRIVATE KEY" not in json.dumps(cluster.request) + base64.b64decode(spec["request"]).decode()
    assert cluster.deleted == [f"CertificateRequest cert-manager/{cluster.request['metadata']['name']}"]
    # The key that was made here belongs to the certificate: a leaf below it verifies.
    assert broken(forged.proper_leaf(signer, CALLER, now=NOON)) == []


@pytest.mark.parametrize(
    "condition",
    [
        pytest.param({"type": "Denied", "status": "True", "message": "no"}, id="denied"),
        pytest.param({"type": "InvalidRequest", "status": "True", "message": "no"}, id="invalid"),
        pytest.param({"type": "Ready", "status": "False", "reason": "Failed", "message": "no"}, id="failed"),
    ],
)
def test_refusal_is_an_error_at_once_and_the_request_goes(condition: Object) -> None:
    cluster = CertManager(condition)
    with pytest.raises(ClusterError, match=f"refuses to sign for somebody: {condition['type']}: no"):
        forged.mesh_signer(cast(Kube, cluster), user="somebody")

    assert len(cluster.deleted) == 1
