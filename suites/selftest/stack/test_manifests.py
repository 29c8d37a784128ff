"""The files under manifests/ as they are, and what is made of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from fixtures.cluster.failures import UsageError
from fixtures.stack import manifests
from fixtures.stack.manifests import MANIFESTS, Pace, fill, load_pace, placeholders
from fixtures.stack.stackfile import ImageMode, load_stack

STACK = load_stack(MANIFESTS / "stacks" / "current.toml")
PACE = load_pace("fast")
VALUES = placeholders(STACK, "build", PACE)
# Experiments are read by Chaos Toolkit, which fills nothing in.
FILLED = [
    path
    for path in sorted(MANIFESTS.rglob("*"))
    if path.suffix in {".yaml", ".conf"} and "chaos" not in path.relative_to(MANIFESTS).parts
]
DURATION = re.compile(r"(\d+(\.\d+)?[hms])+")


def name_of(path: Path) -> str:
    return str(path.relative_to(MANIFESTS))


def test_words_are_replaced_by_what_they_stand_for() -> None:
    text = "image: MESHPROOF_IMAGE_PILOT\nttl: MESHPROOF_SVID_TTL, MESHPROOF_SVID_TTL\n"

    assert fill(text, VALUES) == f"image: {STACK.image('pilot', 'build')}\nttl: 1m, 1m\n"


def test_longer_words_are_not_taken_for_shorter_ones() -> None:
    values = {"MESHPROOF_A": "1", "MESHPROOF_A_B": "2"}

    assert fill("MESHPROOF_A_B MESHPROOF_A", values) == "2 1"


def test_unknown_word_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"unknown placeholder MESHPROOF_IMAGE_PILOTS$"):
        fill("image: MESHPROOF_IMAGE_PILOTS", VALUES)


@pytest.mark.parametrize("mode", ["pull", "build"])
def test_image_is_given_whole_and_in_its_parts(mode: ImageMode) -> None:
    values = placeholders(STACK, mode, PACE)

    whole = values["MESHPROOF_IMAGE_CERT_MANAGER_WEBHOOK"]
    assert whole == STACK.image("cert-manager-webhook", mode)
    assert whole == (
        f"{values['MESHPROOF_REPOSITORY_CERT_MANAGER_WEBHOOK']}:{values['MESHPROOF_TAG_CERT_MANAGER_WEBHOOK']}"
    )


def test_lifetimes_are_those_of_the_pace() -> None:
    values = placeholders(STACK, "pull", Pace("fast", "7m", "70m", 1, "5s", {}))

    assert (values["MESHPROOF_SVID_TTL"], values["MESHPROOF_SPIRE_CA_TTL"]) == ("7m", "70m")


@pytest.mark.parametrize("path", FILLED, ids=name_of)
def test_every_word_in_a_manifest_stands_for_something(path: Path) -> None:
    assert "MESHPROOF_" not in fill(path.read_text(), VALUES)


@pytest.mark.parametrize("path", [p for p in FILLED if p.suffix == ".yaml"], ids=name_of)
def test_every_manifest_is_yaml_once_filled(path: Path) -> None:
    documents = list(yaml.safe_load_all(fill(path.read_text(), VALUES)))

    assert documents
    assert all(isinstance(document, dict) for document in documents)


@pytest.mark.parametrize("path", sorted(MANIFESTS.rglob("kustomization.yaml")), ids=name_of)
def test_every_file_that_a_kustomization_names_is_there(path: Path) -> None:
    data = yaml.safe_load(path.read_text())
    named = [
        *data.get("resources", []),
        *(file.rpartition("=")[2] for g in data.get("configMapGenerator", []) for file in g.get("files", [])),
    ]

    assert named
    assert [name for name in named if not (path.parent / name).exists()] == []


@pytest.mark.parametrize("path", sorted((MANIFESTS / "paces").glob("*.toml")), ids=lambda path: path.stem)
def test_every_pace_loads(path: Path) -> None:
    assert path.stem in {"fast", "reference"}
    pace = load_pace("fast" if path.stem == "fast" else "reference")

    assert pace.name == path.stem
    assert DURATION.fullmatch(pace.svid_ttl)
    assert DURATION.fullmatch(pace.spire_ca_ttl)
    assert DURATION.fullmatch(pace.kubelet["syncFrequency"])


@pytest.mark.parametrize("content", [b"", b"[", b"\xff", b'svid-ttl = "1m"\n'])
def test_broken_pace_is_an_error_that_names_the_file(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "paces").mkdir()
    (tmp_path / "paces" / "fast.toml").write_bytes(content)
    monkeypatch.setattr(manifests, "MANIFESTS", tmp_path)

    with pytest.raises(UsageError, match=f"^{tmp_path}/paces/fast.toml: "):
        load_pace("fast")
