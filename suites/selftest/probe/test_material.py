"""Each bad Secret is the good one with one deviation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from fixtures.pki import (
    TrustBundle,
    UnreadableError,
    dns_sans,
    judge_chain,
    load_pem_chain,
    mint,
    public_key_fingerprint,
)
from fixtures.probe.certificate import is_ca, key_kind
from fixtures.probe.material import (
    OPAQUE,
    TLS,
    Files,
    Signer,
    cut_off,
    emptied,
    foreign_signer,
    istio_files,
    nothing,
    tls_files,
    with_key_of,
    with_newline,
    with_root_beside,
)

ROOT = mint.authority(mint.CERT_MANAGER_ROOT)
_ISSUED = mint.intermediate(ROOT, replace(mint.INTERMEDIATE, uris=(), dns=("istiod.istio-system.svc",)))
GOOD = Signer(_ISSUED.cert, mint.pem(ROOT.cert), _ISSUED.key)
FOREIGN = foreign_signer(mint.NOON)


def key_of(files: Files, name: str) -> str:
    return public_key_fingerprint(load_pem_private_key(files.content[name], None).public_key())


def differing(files: Files) -> set[str]:
    good = tls_files(GOOD).content
    return {name for name in good.keys() | files.content.keys() if good.get(name) != files.content.get(name)}


def test_tls_layout_has_the_three_keys_that_cert_manager_writes() -> None:
    files = tls_files(GOOD)

    assert files.type == TLS
    assert set(files.content) == {"tls.crt", "tls.key", "ca.crt"}
    assert load_pem_chain(files.content["tls.crt"]) == (GOOD.cert,)
    assert key_of(files, "tls.key") == public_key_fingerprint(GOOD.cert)
    assert files.content["ca.crt"] == GOOD.root


def test_layout_of_istio_has_the_four_keys_and_the_root_at_the_end_of_the_chain() -> None:
    files = istio_files(GOOD)

    assert files.type == OPAQUE
    assert set(files.content) == {"ca-cert.pem", "ca-key.pem", "root-cert.pem", "cert-chain.pem"}
    assert load_pem_chain(files.content["ca-cert.pem"]) == (GOOD.cert,)
    assert key_of(files, "ca-key.pem") == public_key_fingerprint(GOOD.cert)
    assert files.content["root-cert.pem"] == GOOD.root
    assert load_pem_chain(files.content["cert-chain.pem"]) == (GOOD.cert, ROOT.cert)


@pytest.mark.parametrize(
    ("spoiled", "changed"),
    [
        (with_newline(GOOD), {"ca.crt"}),
        (with_root_beside(GOOD, FOREIGN.root), {"ca.crt"}),
        (with_key_of(GOOD, FOREIGN), {"tls.key"}),
        (cut_off(GOOD), {"tls.crt"}),
        (emptied(GOOD, "ca.crt"), {"ca.crt"}),
        (emptied(GOOD, "tls.crt", "tls.key"), {"tls.crt", "tls.key"}),
    ],
    ids=["newline", "root beside", "another key", "cut off", "empty root", "empty pair"],
)
def test_nothing_but_the_deviation_is_changed(spoiled: Files, changed: set[str]) -> None:
    assert spoiled.type == TLS
    assert differing(spoiled) == changed


def test_newline_changes_the_text_and_not_the_roots() -> None:
    spoiled = with_newline(GOOD).content["ca.crt"]

    assert spoiled == GOOD.root + b"\n"
    assert TrustBundle.from_pem(spoiled).same_as(TrustBundle((ROOT.cert,)))


def test_root_beside_keeps_both() -> None:
    both = TrustBundle.from_pem(with_root_beside(FOREIGN, GOOD.root).content["ca.crt"])

    assert both.same_as(TrustBundle.from_pem(FOREIGN.root).union(TrustBundle((ROOT.cert,))))


def test_another_key_is_a_key_and_not_the_certificates() -> None:
    assert key_of(with_key_of(GOOD, FOREIGN), "tls.key") == public_key_fingerprint(FOREIGN.cert)
    assert public_key_fingerprint(FOREIGN.cert) != public_key_fingerprint(GOOD.cert)


def test_certificate_that_is_cut_off_begins_and_cannot_be_read() -> None:
    spoiled = cut_off(GOOD).content["tls.crt"]

    assert mint.pem(GOOD.cert).startswith(spoiled)
    with pytest.raises(UnreadableError):
        load_pem_chain(spoiled)


def test_emptied_keys_are_there() -> None:
    assert emptied(GOOD, "tls.key").content["tls.key"] == b""


def test_nothing_is_a_secret_without_keys() -> None:
    assert nothing() == Files(OPAQUE, {})


def test_foreign_intermediate_is_faultless_but_for_its_root() -> None:
    own, mesh = TrustBundle.from_pem(FOREIGN.root), TrustBundle((ROOT.cert,))

    assert judge_chain((FOREIGN.cert,), own, now=mint.NOON).mismatches == ()
    assert judge_chain((FOREIGN.cert,), mesh, now=mint.NOON).mismatches != ()
    assert is_ca(FOREIGN.cert)
    assert dns_sans(FOREIGN.cert) == ("istiod.istio-system.svc",)
    assert key_kind(FOREIGN.cert) == "RSA 2048"
    assert FOREIGN.cert.not_valid_after_utc - mint.NOON == timedelta(days=60)


def test_foreign_root_has_the_name_of_the_meshs() -> None:
    """By its name alone nobody can tell it from the right one."""
    root = x509.load_pem_x509_certificate(FOREIGN.root)

    assert root.subject == ROOT.cert.subject
    assert public_key_fingerprint(root) != public_key_fingerprint(ROOT.cert)


@pytest.mark.parametrize("show", [repr, str])
def test_no_private_key_is_ever_shown(show: Callable[[object], str]) -> None:
    for held in (GOOD, tls_files(GOOD), istio_files(GOOD)):
        assert "PRIVATE" not in show(held)
        assert "content" not in show(held)
