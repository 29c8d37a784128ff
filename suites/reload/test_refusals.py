"""What istiod does with bad material in `cacerts`: it says so, and goes on with what it has.

While these run, the Certificate `cacerts` is gone and the Secret holds material of our own, signed by
cert-manager from the mesh's root. After each case a good intermediate, another one each time, has to be
taken again; a case where that fails is an error, whatever istiod made of the bad one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from fixtures.chaos.traffic import Traffic
from fixtures.cluster.wait import wait_for
from fixtures.probe.material import (
    LEAF_USAGES,
    Files,
    Signer,
    cut_off,
    emptied,
    foreign_signer,
    nothing,
    signed_under_root,
    tls_files,
    with_key_of,
    with_newline,
    with_root_beside,
)
from fixtures.probe.refusal import HeldCacerts, Observation, Refusal, explained, held_cacerts, refusal_faults
from fixtures.report.catalogue import conformance
from fixtures.session import Mesh
from fixtures.stack.manifests import CACERTS_MANIFEST

_log = logging.getLogger(__name__)

OTHER_ROOT = Refusal("warn", "Multi root is disabled, updating new ROOT-CA not supported")
_FAILED = "Failed to update new Plug-in CA certs: "
OTHER_KEY = Refusal(
    "error", f"{_FAILED}the cert does not match the key: tls: private key does not match public key"
)
NO_CERTIFICATE = Refusal("error", f"{_FAILED}failed to parse cert PEM: invalid PEM encoded certificate")
EXPIRED = Refusal(
    "error",
    f"{_FAILED}cannot verify the cert with the provided root chain and cert pool with error: "
    r"x509: certificate has expired or is not yet valid: current time \S+ is after \S+",
)
NO_AUTHORITY = Refusal("error", f"{_FAILED}.+")
NO_FILE = Refusal(
    "error",
    r"failed reading root-cert\.pem: open etc/cacerts/root-cert\.pem: no such file or directory",
)
# Short enough to wait for; a CertificateRequest, unlike a Certificate, may ask for so little.
_SHORT = timedelta(seconds=5)


@dataclass(frozen=True)
class Trials:
    """Bad Secrets, one after the other, while the load runs.

    Attributes:
        short: An intermediate that was made first, and has expired when it is its turn.
    """

    mesh: Mesh
    traffic: Traffic
    held: HeldCacerts
    short: Signer

    def refuse(self, name: str, spoiled: Callable[[Signer], Files]) -> Observation:
        """Try one bad Secret, put a good one back, and note how long both took."""
        return self.refuse_each({name: spoiled})[name]

    def refuse_each(self, cases: Mapping[str, Callable[[Signer], Files]]) -> dict[str, Observation]:
        """Try several bad Secrets in a row, and put a good one back after the last."""
        with self.traffic.step(", ".join(cases)) as notes:
            each, back = self.held.try_out(*cases.values())
            for name, one in zip((*cases, "put back"), (*each, back), strict=True):
                notes.add({name: one.changed}, one.log)
        seen = dict(zip(cases, each, strict=True))
        for name, one in seen.items():
            self.mesh.measure(f"reload.{name}", dict(one.seconds()))
            _log.info("%s: %s", name, one)
        self.mesh.measure(f"reload.{name}.reloaded", back.seconds()["decided"])
        return seen


@pytest.fixture(scope="module")
def trials(own_mesh: Mesh, traffic: Traffic) -> Iterator[Trials]:
    """Hold the Secret for all clauses of this module, and give it back afterwards."""
    with held_cacerts(own_mesh.kube, own_mesh.image("fortio"), CACERTS_MANIFEST.read_text()) as held:
        short = signed_under_root(own_mesh.kube, held.issuer, lifetime=_SHORT)
        yield Trials(own_mesh, traffic, held, short)


@pytest.fixture(scope="module")
def foreign() -> Signer:
    """An intermediate under a root of nobody's."""
    return foreign_signer(datetime.now(UTC))


@conformance(id="reload/root-swap-refused", requires={"istio"})
def test_another_root_is_refused(trials: Trials, foreign: Signer) -> None:
    """Another root with its own intermediate is refused with a warning, and the old CA goes on.

    > Without ISTIO_MULTIROOT_MESH only the intermediate may change: istiod compares `ca.crt` with the
    > root that it runs with, warns, and leaves everything as it is
    > (istio/istio pilot/pkg/bootstrap/istio_ca.go, handleEvent).

    The fresh workload holds the mesh's root and no other one.

    Break: ISTIO_MULTIROOT_MESH=true, which refuses it in other words; an istiod that stops to sign.
    """
    seen = trials.refuse("root-swap", lambda _: tls_files(foreign))

    faults = refusal_faults(seen, OTHER_ROOT)
    assert not faults, explained(faults, seen)


@conformance(id="reload/root-newline", requires={"istio"})
def test_the_same_root_in_another_text_is_refused(trials: Trials) -> None:
    """An empty line behind the same root is refused as if it were another root: texts are compared.

    > The two bundles are compared byte by byte, before anything is parsed
    > (istio/istio pilot/pkg/bootstrap/istio_ca.go, handleEvent).

    The certificate and its key are those that istiod runs with. Who writes the Secret by other means
    than the first time gets this.

    Break: ISTIO_MULTIROOT_MESH=true, which compares certificates; an istiod that trims.
    """
    seen = trials.refuse("root-newline", with_newline)

    faults = refusal_faults(seen, OTHER_ROOT)
    assert not faults, explained(faults, seen)


@conformance(id="reload/root-and-intermediate-together", requires={"istio"})
def test_both_roots_with_an_intermediate_of_the_new_one_are_refused(trials: Trials, foreign: Signer) -> None:
    """A new root beside the old one, with an intermediate of the new root, is refused like a new root alone.

    > Only with ISTIO_MULTIROOT_MESH is a bundle taken that contains the one before it, or is
    > contained in it (istio/istio pilot/pkg/bootstrap/istio_ca.go, pemBundleHasSubsetRelation).

    Break: ISTIO_MULTIROOT_MESH=true: istiod signs with an intermediate of a root that no workload of
    SPIRE's accepts.
    """
    seen = trials.refuse("root-and-intermediate", lambda good: with_root_beside(foreign, good.root))

    faults = refusal_faults(seen, OTHER_ROOT)
    assert not faults, explained(faults, seen)


@conformance(id="reload/key-mismatch", requires={"istio"})
def test_another_key_is_refused(trials: Trials, foreign: Signer) -> None:
    """A key that is not the certificate's is refused with an error, and the old CA goes on.

    > Before istiod replaces what it has, it checks the chain, and that certificate and key belong
    > together (istio/istio security/pkg/pki/util/keycertbundle.go, Verify).

    Break: an istiod that sets what it has read before it has checked it.
    """
    seen = trials.refuse("key-mismatch", lambda good: with_key_of(good, foreign))

    faults = refusal_faults(seen, OTHER_KEY)
    assert not faults, explained(faults, seen)


@conformance(id="reload/truncated-pem", requires={"istio"})
def test_half_a_certificate_is_refused(trials: Trials) -> None:
    """A certificate that ends in its middle is refused with an error, and the old CA goes on.

    > What istiod cannot parse as a PEM block it does not take
    > (istio/istio security/pkg/pki/util/crypto.go, ParsePemEncodedCertificate).

    Break: an istiod that takes the root, which stands behind the half one, for the certificate.
    """
    seen = trials.refuse("truncated-pem", cut_off)

    faults = refusal_faults(seen, NO_CERTIFICATE)
    assert not faults, explained(faults, seen)


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="istiod takes a leaf for a CA: Verify (security/pkg/pki/util/keycertbundle.go) asks for a path, "
    "not for the basic constraints; whatever verifies its certificates refuses them. FINDINGS.md, 11; "
    "nearest issue: https://github.com/istio/istio/issues/27193, expires 2027-06-30",
)
@conformance(id="reload/leaf-as-ca", requires={"istio"})
def test_a_leaf_is_refused(trials: Trials) -> None:
    """A certificate that is no authority is refused with an error, and the old CA goes on.

    > If the basic constraints are not asserted, the key in the certificate must not be used to verify
    > signatures of certificates (RFC 5280 4.2.1.9): all that istiod would sign is void.

    The leaf is signed from the mesh's root, as a server's certificate, with its own key.

    Break: an istiod that asks of the certificate no more than a path to the root.
    """
    held = trials.held
    leaf = signed_under_root(held.kube, held.issuer, usages=LEAF_USAGES)
    seen = trials.refuse("leaf-as-ca", lambda _: tls_files(leaf))

    faults = refusal_faults(seen, NO_AUTHORITY)
    assert not faults, explained(faults, seen)


@conformance(id="reload/expired", requires={"istio"})
def test_an_expired_intermediate_is_refused(trials: Trials) -> None:
    """An intermediate of the mesh's root that has expired is refused with an error, and the old CA goes on.

    > The path to the root is checked at the time of the change
    > (istio/istio security/pkg/pki/util/keycertbundle.go, Verify; Go's x509.Certificate.Verify).

    Break: an istiod that checks the signature only.
    """
    wait_for(
        lambda: datetime.now(UTC),
        lambda now: now > trials.short.cert.not_valid_after_utc,
        condition="the intermediate that lives for seconds has expired",
        timeout=10 * _SHORT.total_seconds(),
    )
    seen = trials.refuse("expired", lambda _: tls_files(trials.short))

    faults = refusal_faults(seen, EXPIRED)
    assert not faults, explained(faults, seen)


@conformance(id="reload/empty", requires={"istio"})
def test_an_empty_secret_is_refused(trials: Trials) -> None:
    """A Secret without content, under its keys or without any, is refused, and the old CA goes on.

    > istiod reads the root first: an empty one is another root, a missing one an error. Where the root is
    > there, it checks what stands under `tls.crt`
    > (istio/istio pilot/pkg/bootstrap/istio_ca.go, handleEvent).

    Three Secrets in a row: certificate and key empty, the root empty, and no key at all.

    Break: an istiod that falls back to a root of its own making, as it does at its start.
    """
    seen = trials.refuse_each(
        {
            "empty-certificate-and-key": lambda good: emptied(good, "tls.crt", "tls.key"),
            "empty-root": lambda good: emptied(good, "ca.crt"),
            "without-keys": lambda _: nothing(),
        }
    )
    refusals = zip(seen.items(), (NO_CERTIFICATE, OTHER_ROOT, NO_FILE), strict=True)
    wrong = [
        f"{name}: {explained(faults, one)}"
        for (name, one), refusal in refusals
        if (faults := refusal_faults(one, refusal))
    ]

    assert not wrong, "\n".join(wrong)
