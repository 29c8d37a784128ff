"""The chain that each proxy presents."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cryptography import x509

from fixtures.cluster.kube import CONFIG_MAP
from fixtures.cluster.run import CommandError, run
from fixtures.cluster.timeouts import timeouts
from fixtures.pki import TrustBundle, mint
from fixtures.probe.durations import go_duration
from fixtures.probe.layout import SPIRE
from fixtures.probe.trust import (
    OpensslVerdict,
    Reading,
    ca_faults,
    depth_faults,
    verifier_faults,
)
from fixtures.report.catalogue import conformance
from fixtures.session import Mesh

_REFUSED = 2  # the exit code of openssl's verdict; another one says that it came to none
_CA_TTL = re.compile(r'^\s*ca_ttl\s*=\s*"([^"]+)"', re.MULTILINE)
_CA_TTL_DEFAULT = "24h"


@conformance(id="trust/chain-depth")
def test_chain_depth(mesh: Mesh, proxies: list[Reading]) -> None:
    """The chain of each proxy is its leaf and SPIRE's CA; with the root, its depth is 3.

    > SPIFFE Workload API, x509_svid: "ASN.1 DER encoded certificate chain. MAY include
    > intermediates, the leaf certificate (or SVID itself) MUST come first."

    Break: an upstream authority that is itself an intermediate, or none at all.
    """
    faults = [
        f"{one.pod} {fault}"
        for one in proxies
        for fault in depth_faults(one.svid.chain, one.verdict(mesh.trust_domain))
    ]
    assert not faults, "; ".join(faults)


@conformance(id="trust/chain-order-and-signatures")
def test_chain_order_and_signatures(mesh: Mesh, proxies: list[Reading], tmp_path: Path) -> None:
    """Each proxy's chain is in order, every signature verifies, nothing is left over.

    > RFC 5246 7.4.2: "Each following certificate MUST directly certify the one preceding it."

    Two verifiers say so that share no code, and a disagreement between them is a failure, too.

    Break: a certificate too many, the order turned round, or a CA with the right name and another key.
    """
    faults = []
    for one in proxies:
        openssl = _openssl(one.svid.chain, one.svid.bundle, one.time, tmp_path)
        verdict = one.verdict(mesh.trust_domain)
        faults += [f"{one.pod}: {f}" for f in verifier_faults(one.svid.chain, verdict, openssl)]
    assert not faults, "; ".join(faults)


@conformance(id="trust/spire-ca-shape")
def test_spire_ca_shape(mesh: Mesh, proxies: list[Reading]) -> None:
    """SPIRE's CA is one for its trust domain alone, and lives neither too long nor past its issuer.

    > X509-SVID 4.1: "Signing certificates MUST set the `cA` field to `true`"; 4.3: "SVID signing
    > certificates MUST set `keyCertSign`"; 3.2: "the SPIFFE ID of a signing certificate MUST NOT
    > have a path component"; SPIRE, ca_ttl: "The default CA/signing key TTL"

    It may live ca_ttl and the ten seconds by which SPIRE dates back what it signs itself.

    Break: an issuer that ignores the requested duration or the URI SAN, or one of path length 0.
    """
    ca_ttl = go_duration(_configured_ca_ttl(mesh))
    faults = []
    for one in proxies:
        path = one.verdict(mesh.trust_domain).path
        if len(path) < 3:
            faults.append(f"{one.pod}: no CA verifiably stands between its leaf and its root")
            continue
        found = ca_faults(path[1], path[2], trust_domain=mesh.trust_domain, ca_ttl=ca_ttl)
        faults += [f"{one.pod}, CA {path[1].serial_number:x}: {fault}" for fault in found]
    assert not faults, "; ".join(faults)


def _openssl(
    chain: Sequence[x509.Certificate], bundle: TrustBundle, now: datetime, folder: Path
) -> OpensslVerdict:
    files = {"leaf.pem": chain[:1], "above.pem": chain[1:], "roots.pem": bundle.authorities}
    for name, certs in files.items():
        (folder / name).write_bytes(mint.pem(*certs))
    argv = ["openssl", "verify", "-show_chain", "-no-CApath", "-no-CAstore"]
    argv += ["-attime", str(int(now.timestamp())), "-CAfile", "roots.pem"]
    if chain[1:]:  # OpenSSL does not take an empty file
        argv += ["-untrusted", "above.pem"]
    try:
        text = run([*argv, "leaf.pem"], timeout=timeouts().command, cwd=folder)
    except CommandError as error:
        if error.returncode != _REFUSED:
            raise
        return OpensslVerdict(0, " ".join(error.stderr.split()))
    return OpensslVerdict(len(re.findall(r"^depth=", text, re.MULTILINE)))


def _configured_ca_ttl(mesh: Mesh) -> str:
    data = mesh.kube.get(CONFIG_MAP, "spire-server", SPIRE).get("data") or {}
    match = _CA_TTL.search(data.get("server.conf", ""))
    return match[1] if match else _CA_TTL_DEFAULT
