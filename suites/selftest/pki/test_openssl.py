"""The second opinion: `openssl verify` on every chain of the tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.cluster.run import CommandError, run
from fixtures.pki import mint
from suites.selftest.pki import negative_leaves, negative_paths, negative_signers, positive
from suites.selftest.pki.case import Case

CASES = (
    *positive.CASES,
    *negative_leaves.CASES,
    *negative_signers.CASES,
    *negative_paths.CASES,
)


# The exit code of a verdict; another one says that it could not be come to.
REFUSED = 2


def openssl_accepts(case: Case, folder: Path) -> bool:
    """Ask `openssl verify` for the verdict at the time of the case."""
    files = {
        "leaf.pem": mint.pem(*case.chain[:1]),
        "above.pem": mint.pem(*case.chain[1:]),
        "roots.pem": mint.pem(*case.bundle.authorities),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    if not (case.chain and case.bundle.authorities):
        return False  # OpenSSL does not take an empty file as an answer, and says so
    argv = ["openssl", "verify", "-no-CApath", "-no-CAstore", "-CAfile", "roots.pem"]
    argv += ["-attime", str(int(case.now.timestamp()))]
    if case.chain[1:]:
        argv += ["-untrusted", "above.pem"]
    try:
        run([*argv, "leaf.pem"], timeout=60, cwd=folder)
    except CommandError as error:
        if error.returncode != REFUSED:
            raise
        return False
    return True


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_openssl_agrees_or_the_case_says_why_not(case: Case, tmp_path: Path) -> None:
    """OpenSSL comes to the same verdict, except where a case explains why it cannot."""
    agrees = openssl_accepts(case, tmp_path) == case.verdict().valid
    assert agrees == (not case.openssl), case.openssl or "an unexplained disagreement"
