from __future__ import annotations

import os
import random
import tarfile
from pathlib import Path

import pytest

from fixtures.report.archive import CUTS, pack


def evidence(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def unpacked(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as opened:
        return {
            member.name: file.read() for member in opened if (file := opened.extractfile(member)) is not None
        }


def noise(seed: int, lines: int) -> bytes:
    """Lines that no compression makes smaller than about half."""
    numbers = random.Random(seed)
    return b"".join(b"%064x\n" % numbers.getrandbits(256) for _ in range(lines))


def test_archive_takes_the_place_of_the_folder(tmp_path: Path) -> None:
    files = {"failure.txt": b"it failed\n", "logs/istiod.txt": b"line\n" * 100}
    folder = evidence(tmp_path / "wire-a.b", files)
    archive = pack(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["wire-a.b.tar.gz"]
    assert archive == tmp_path / "wire-a.b.tar.gz"
    assert unpacked(archive) == {f"wire-a.b/{name}": data for name, data in files.items()}


def test_equal_evidence_gives_equal_archives(tmp_path: Path) -> None:
    files = {"b.txt": noise(1, 900), "a.txt": noise(2, 900), "failure.txt": b"it failed\n"}
    first = evidence(tmp_path / "one" / "wire-a", files)
    second = evidence(tmp_path / "two" / "wire-a", dict(reversed(files.items())))
    os.utime(second / "a.txt", (0, 0))
    (second / "b.txt").chmod(0o600)
    assert pack(first, 30_000).read_bytes() == pack(second, 30_000).read_bytes()


def test_only_the_biggest_files_lose_their_ends_and_say_so(tmp_path: Path) -> None:
    files = {"big.txt": noise(1, 3000), "bigger.txt": noise(2, 6000), "failure.txt": noise(3, 20)}
    archive = pack(evidence(tmp_path / "a", files), 100_000)
    assert archive.stat().st_size <= 100_000
    kept = unpacked(archive)
    assert kept["a/failure.txt"] == files["failure.txt"]
    heads = {}
    for name in ("big.txt", "bigger.txt"):
        head, _, note = kept[f"a/{name}"].rpartition(b"\n[")
        assert files[name].startswith(head)
        assert head.endswith(b"\n")
        left_out = len(files[name]) - len(head)
        assert note == b"%d of %d bytes are cut off here]\n" % (left_out, len(files[name]))
        heads[name] = len(head)
    assert heads["big.txt"] == heads["bigger.txt"]
    assert [line.partition(b":")[0] for line in kept[f"a/{CUTS}"].splitlines()] == [b"big.txt", b"bigger.txt"]


def test_one_endless_line_is_cut_as_well(tmp_path: Path) -> None:
    archive = pack(evidence(tmp_path / "a", {"x": noise(1, 3000).replace(b"\n", b"")}), 50_000)
    assert archive.stat().st_size <= 50_000


def test_what_is_linked_from_elsewhere_is_not_handed_on(tmp_path: Path) -> None:
    (tmp_path / "private").write_text("of this machine")
    folder = evidence(tmp_path / "a", {"failure.txt": b"x"})
    (folder / "link").symlink_to(tmp_path / "private")
    assert list(unpacked(pack(folder))) == ["a/failure.txt"]


def test_evidence_stays_where_no_archive_can_be_made(tmp_path: Path) -> None:
    folder = evidence(tmp_path / "a", {"failure.txt": b"x"})
    (tmp_path / "a.tar.gz").mkdir()
    with pytest.raises(OSError):
        pack(folder)
    assert (folder / "failure.txt").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"a", "a.tar.gz"}
