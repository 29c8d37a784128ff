"""`python -m fixtures.pki`, most of it without a process of its own."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.cluster.run import CommandError, run
from fixtures.pki import mint
from fixtures.pki.certs import MAX_BYTES
from fixtures.pki.cli import main
from suites.selftest.pki.case import LEAF, ROOT

AT = ["--at", "2030-01-01T12:00:00Z"]
LAST_SECOND = ["--at", "2030-01-01T14:00:00+01:00"]


@dataclass(frozen=True)
class Files:
    """A chain and a bundle on disk."""

    chain: str
    bundle: str
    empty: str

    @property
    def verify(self) -> list[str]:
        """The words of a plain verification."""
        return ["verify", "--chain", self.chain, "--bundle", self.bundle]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    (tmp_path / "chain.pem").write_bytes(mint.pem(*LEAF.chain))
    (tmp_path / "roots.der").write_bytes(mint.der(ROOT.cert))
    (tmp_path / "empty").touch()
    return Files(str(tmp_path / "chain.pem"), str(tmp_path / "roots.der"), str(tmp_path / "empty"))


def give_stdin(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_valid_chain(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    """A valid chain: exit 0 and whose it is."""
    assert main([*files.verify, *AT, "--spiffe-id", mint.WORKLOAD]) == 0
    out, err = capsys.readouterr()
    assert out == f"valid: {mint.WORKLOAD}, 3 certificates up to the authority\n"
    assert err == ""


def test_every_mismatch_has_its_line(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    """An invalid chain: exit 1 and a line for each mismatch, nothing else."""
    expected = "spiffe://example.org/ns/default/sa/ratings"
    argv = [*files.verify, "--at", "2030-01-01T13:00:01Z", "--spiffe-id", expected]
    assert main(argv) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "expired at 2030-01-01T13:00:00Z" in lines[0]
    assert f"not of {expected}" in lines[1]


def test_offset_of_a_time_counts(files: Files) -> None:
    """14:00 at an offset of one hour is 13:00 in UTC, the leaf's last second."""
    assert main([*files.verify, *LAST_SECOND]) == 0


def test_warnings_do_not_change_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is only recommended is printed and marked as a warning."""
    root = mint.authority(mint.CERT_MANAGER_ROOT)
    (tmp_path / "chain.der").write_bytes(mint.der(*mint.leaf(mint.intermediate(root)).chain))
    (tmp_path / "roots.pem").write_bytes(mint.pem(root.cert))
    argv = ["verify", "--chain", str(tmp_path / "chain.der")]
    assert main([*argv, "--bundle", str(tmp_path / "roots.pem"), *AT]) == 0
    warning, valid = capsys.readouterr().out.splitlines()
    assert warning.startswith("warning: certificate 2 (CN=certmanager-ca,O=cert-manager): ")
    assert valid.startswith("valid: ")


def test_json_verdict(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    """One JSON document with everything that the lines hold."""
    assert main([*files.verify, *AT, "--json"]) == 0
    good = json.loads(capsys.readouterr().out)
    assert good["valid"] is True
    assert good["spiffe_id"] == mint.WORKLOAD
    assert good["depth"] == 3
    assert good["mismatches"] == good["warnings"] == []
    assert main([*files.verify, "--at", "2030-01-01T13:00:01Z", "--json"]) == 1
    bad = json.loads(capsys.readouterr().out)
    assert [found["rule"] for found in bad["mismatches"]] == ["Expired"]
    assert bad["mismatches"][0]["position"] == 0
    assert bad["mismatches"][0]["details"]["not_after"] == "2030-01-01T13:00:00Z"


@pytest.mark.parametrize("form", ["pem", "der"])
def test_chain_from_standard_input(form: str, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` reads standard input, in either form."""
    data = mint.pem(*LEAF.chain) if form == "pem" else mint.der(*LEAF.chain)
    give_stdin(monkeypatch, data)
    assert main(["verify", "--chain", "-", "--bundle", files.bundle, *AT]) == 0


def test_path_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A server's chain, which is no SVID, can be judged by the rules of paths."""
    (tmp_path / "chain").write_bytes(mint.pem(*mint.leaf(ROOT, mint.SERVER).chain))
    (tmp_path / "roots").write_bytes(mint.pem(ROOT.cert))
    argv = ["verify", "--chain", str(tmp_path / "chain"), "--bundle", str(tmp_path / "roots"), *AT]
    assert main(argv) == 1
    assert main([*argv, "--path-only"]) == 0
    assert capsys.readouterr().out.endswith("valid: 2 certificates up to the authority\n")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "required: COMMAND"),
        (["verify"], "required: --chain, --bundle"),
        (["prove"], "invalid choice"),
        (["verify", "--chain", "-", "--bundle", "-"], "only one of"),
        (["verify", "--chain", "a", "--bundle", "b", "--at", "noon"], "2030-01-31T12:00:00Z"),
        (["verify", "--chain", "a", "--bundle", "b", "--at", "2030-02-30T00:00:00Z"], "day"),
        (["verify", "--chain", "a", "--bundle", "b", "--at", "2030-01-01T00:00:00"], "2030-01"),
        (["verify", "--chain", "a", "--bundle", "b", "--spiffe-id", "x"], "SPIFFE-ID 2"),
        (
            [
                "verify",
                "--chain",
                "a",
                "--bundle",
                "b",
                "--spiffe-id",
                "spiffe://a/b",
                "--path-only",
            ],
            "not allowed with",
        ),
        (["verify", "--chain", "/nowhere/at/all", "--bundle", "b"], "/nowhere/at/all"),
        (["verify", "--ch", "a", "--bundle", "b"], "required: --chain"),
    ],
    ids=[
        "nothing",
        "no-arguments",
        "unknown-command",
        "stdin-twice",
        "no-time",
        "no-such-day",
        "time-without-offset",
        "no-spiffe-id",
        "id-of-no-svid",
        "no-such-file",
        "abbreviated",
    ],
)
def test_wrong_use(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong use: exit 2 and one line on standard error."""
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "data",
    [b"", b"hello", mint.pem(*LEAF.chain)[:-40], mint.der(LEAF.cert)[:-1], b"0" * (MAX_BYTES + 9)],
    ids=["empty", "text", "pem-cut-off", "der-cut-off", "too-large"],
)
def test_unreadable_input(
    data: bytes,
    files: Files,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Unreadable input: exit 2 and one line that names where it came from."""
    give_stdin(monkeypatch, data)
    assert main(["verify", "--chain", "-", "--bundle", files.bundle]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "standard input: " in err
    assert err.count("\n") == 1
    assert main(["show", "--chain", files.empty]) == 2


def test_show_has_one_line_for_each_certificate(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    """Name, issuer, serial number, lifetime left, and who signed it."""
    assert main(["show", "--chain", files.chain, "--bundle", files.bundle, *AT]) == 0
    first, second = capsys.readouterr().out.splitlines()
    serial = f"{LEAF.cert.serial_number:x}"
    assert first.startswith(f"0  {mint.WORKLOAD}  issuer O=SPIFFE,C=US  serial ")
    assert serial in first
    assert first.endswith("  1h0m left  signed by 1")
    assert second.endswith("  12h0m left  signed by authority 0 of the bundle")


@pytest.mark.parametrize(
    ("at", "lifetime"),
    [
        ("2029-12-30T11:00:00Z", "valid in 2d0h"),
        ("2030-01-01T12:59:30.5Z", "29s left"),
        ("2030-01-01T13:00:00Z", "0s left"),
        ("2030-01-01T13:01:02Z", "expired 1m2s ago"),
    ],
    ids=["before", "at-the-end", "the-end", "after"],
)
def test_show_says_how_long(at: str, lifetime: str, files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    """Lifetimes are shown in their two largest units."""
    assert main(["show", "--chain", files.chain, "--at", at]) == 0
    assert f"  {lifetime}  " in capsys.readouterr().out.splitlines()[0]


def test_show_reads_standard_input_and_writes_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a file the chain comes from standard input; roots sign themselves."""
    give_stdin(monkeypatch, mint.pem(*LEAF.chain, ROOT.cert))
    assert main(["show", "--json", *AT]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["signer"] for row in found] == ["1", "2", "itself"]
    assert [row["position"] for row in found] == [0, 1, 2]


def test_show_finds_nobody(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    """A signer that is not there is said to be missing."""
    assert main(["show", "--chain", files.chain, *AT]) == 0
    assert capsys.readouterr().out.splitlines()[1].endswith("signed by nobody here")


def test_help_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` explains the exit codes."""
    assert main(["--help"]) == 0
    assert "1 not valid" in capsys.readouterr().out


def test_module_as_a_program(files: Files) -> None:
    """`python -m fixtures.pki` gives the exit codes to the shell."""
    program = [sys.executable, "-m", "fixtures.pki"]
    chain = mint.pem(*LEAF.chain).decode()
    verify = [*program, "verify", "--chain", "-", "--bundle", files.bundle]
    root = Path(__file__).parents[3]
    assert run([*verify, *AT], stdin=chain, timeout=60, cwd=root).startswith("valid: ")
    for argv, stdin, code in (
        ([*verify, "--at", "2031-01-01T00:00:00Z"], chain, 1),
        (verify, "nothing", 2),
    ):
        with pytest.raises(CommandError) as raised:
            run(argv, stdin=stdin, timeout=60, cwd=root)
        assert raised.value.returncode == code
