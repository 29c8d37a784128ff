"""Every word of `python -m fixtures.pki`: its help, its JSON, and where it stops reading."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fixtures.pki import mint
from fixtures.pki.certs import MAX_BYTES, fingerprint
from fixtures.pki.cli import main
from suites.selftest.pki.case import LEAF, ROOT

AT = ["--at", "2030-01-01T14:00:00+02:00"]
# Line breaks and the heading of the options differ between the versions of argparse.
HELP = {
    "": """
        usage: python -m fixtures.pki [-h] COMMAND ...
        Judge X.509-SVIDs, chains and trust bundles.
        positional arguments: COMMAND
        verify judge a chain; every mismatch on its own line
        show one line for each certificate
        options: -h, --help show this help message and exit
        FILE is PEM or concatenated DER; "-" is standard input.
        Exit code: 0 valid, 1 not valid, 2 wrong use or unreadable input.
    """,
    "verify": """
        usage: python -m fixtures.pki verify [-h] --chain FILE --bundle FILE
        [--spiffe-id ID | --path-only] [--at RFC3339] [--json]
        options: -h, --help show this help message and exit
        --chain FILE the leaf first
        --bundle FILE the authorities
        --spiffe-id ID whose SVID it must be
        --path-only the leaf is no SVID: judge signatures, order, validity and CA flags alone
        --at RFC3339 default: now
        --json one JSON document
    """,
    "show": """
        usage: python -m fixtures.pki show [-h] [--chain FILE] [--bundle FILE]
        [--at RFC3339] [--json]
        options: -h, --help show this help message and exit
        --chain FILE default: standard input
        --bundle FILE look for signers here as well
        --at RFC3339 default: now
        --json one JSON document
    """,
}


@pytest.fixture
def chain(tmp_path: Path) -> str:
    return written(tmp_path / "chain.pem", mint.pem(*LEAF.chain))


@pytest.fixture
def roots(tmp_path: Path) -> str:
    return written(tmp_path / "roots.der", mint.der(ROOT.cert))


def written(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


def document(out: str) -> Any:
    """Read a JSON document that people can read as well."""
    found = json.loads(out)
    assert out == json.dumps(found, indent=2) + "\n"
    return found


@pytest.mark.parametrize("command", HELP)
def test_help_says_it_all(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main([*command.split(), "--help"]) == 0
    assert capsys.readouterr().out.split() == HELP[command].split()


@pytest.mark.parametrize(
    "words", [["--he"], ["verify", "--js"], ["show", "--js"]], ids=["program", "verify", "show"]
)
def test_no_option_is_abbreviated(
    words: list[str], chain: str, roots: str, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [] if words == ["--he"] else ["--chain", chain, "--bundle", roots, *AT]
    assert main([*words, *files]) == 2
    out, err = capsys.readouterr()
    assert (out, err.startswith("python -m fixtures.pki")) == ("", True)


def test_both_from_standard_input_is_refused_in_these_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--chain", "-", "--bundle", "-"]) == 2
    told = "python -m fixtures.pki: only one of --chain and --bundle can be standard input\n"
    assert capsys.readouterr().err == told


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = written(tmp_path / "text", b"hello")
    assert main(["show", "--chain", text, *AT]) == 2
    assert capsys.readouterr().err == f"python -m fixtures.pki: {text}: no PEM certificate block\n"


def test_json_of_a_valid_chain(chain: str, roots: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--chain", chain, "--bundle", roots, *AT, "--json"]) == 0
    assert document(capsys.readouterr().out) == {
        "valid": True,
        "at": "2030-01-01T12:00:00+00:00",
        "spiffe_id": mint.WORKLOAD,
        "depth": 3,
        "root_sha256": fingerprint(ROOT.cert),
        "mismatches": [],
        "warnings": [],
    }


def test_json_of_a_chain_with_a_mismatch_and_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = mint.authority()
    nobody = mint.leaf(root, replace(mint.LEAF, uris=(), dns=("a.example",), purposes=None))
    files = [
        "--chain",
        written(tmp_path / "chain", mint.der(*nobody.chain)),
        "--bundle",
        written(tmp_path / "roots", mint.pem(ROOT.cert)),
    ]
    assert main(["verify", *files, *AT, "--json"]) == 1
    found = document(capsys.readouterr().out)
    assert [found[key] for key in ("valid", "spiffe_id", "depth", "root_sha256")] == [False, None, 0, None]
    assert found["mismatches"][-1] == {
        "rule": "NoUriSan",
        "position": 0,
        "certificate": "O=SPIRE,C=US",
        "source": "X509-SVID 2",
        "clause": "An X.509 SVID MUST contain exactly one URI SAN",
        "message": "has no URI SAN",
        "details": {},
    }
    assert [warning["rule"] for warning in found["warnings"]] == ["MissingExtendedKeyUsage"]


def test_rows_as_json(chain: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "--chain", chain, *AT, "--json"]) == 0
    first, _ = document(capsys.readouterr().out)
    assert first == {
        "position": 0,
        "name": mint.WORKLOAD,
        "issuer": "O=SPIFFE,C=US",
        "serial": first["serial"],
        "lifetime": "1h0m left",
        "signer": "1",
    }


@pytest.mark.parametrize("standard_input", [True, False])
@pytest.mark.parametrize(("length", "code"), [(MAX_BYTES, 0), (MAX_BYTES + 1, 2), (MAX_BYTES + 9, 2)])
def test_one_byte_more_than_the_limit_is_read_and_no_more(
    length: int,
    code: int,
    standard_input: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = mint.pem(*LEAF.chain).ljust(length, b"\n")
    path = written(tmp_path / "chain", data)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert main(["show", *AT, *([] if standard_input else ["--chain", path])]) == code
    where = "standard input" if standard_input else path
    told = f"{where}: {MAX_BYTES + 1} bytes: more than the {MAX_BYTES} a chain may have"
    assert capsys.readouterr().err == (f"python -m fixtures.pki: {told}\n" if code else "")


@pytest.mark.parametrize("data", [b"0", b"0\x7f", b"0 lines", b"\x81"], ids=bytes.hex)
def test_text_is_not_taken_for_der(data: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`0` is the first byte of DER, too; the second one tells them apart."""
    assert main(["show", "--chain", written(tmp_path / "file", data), *AT]) == 2
    assert capsys.readouterr().err.endswith(": no PEM certificate block\n")


def test_der_of_no_stated_length_is_der(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "--chain", written(tmp_path / "file", b"0\x80"), *AT]) == 2
    assert capsys.readouterr().err.endswith(": byte 0: length in a form that DER does not have\n")


def test_without_a_time_it_is_now(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A time without a zone could not be compared with those of a certificate."""
    long = replace(mint.ROOT, not_before=mint.NOON - timedelta(days=9999))
    path = written(tmp_path / "root", mint.pem(mint.authority(long).cert))
    assert main(["show", "--chain", path]) == 0
    assert " signed by itself\n" in capsys.readouterr().out
