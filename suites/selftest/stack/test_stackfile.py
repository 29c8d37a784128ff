from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.cluster.failures import UsageError
from fixtures.stack.manifests import MANIFESTS
from fixtures.stack.stackfile import IMAGES, STACKS, VERSIONS, load_istiod, load_stack

CURRENT = MANIFESTS / "stacks" / "current.toml"
TEXT = "\n".join(
    [
        "[versions]",
        *(f'{name} = "1.2.3"' for name in VERSIONS),
        '[features]\nnative-sidecars = true\nauto-reload = "removed"',
        '[build]\ntelemetry = false\n[build.pilot-env]\nFILTER = "false"',
        *(f'[images.{name}]\npull = "pull/{name}:1"\nbuild = "built/{name}:1"' for name in IMAGES),
    ]
)


def refusal(folder: Path, *edits: tuple[str, str]) -> str:
    """Load a stack after some edits, and return why it is refused, without the path."""
    text = TEXT
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    path = folder / "mine.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        load_stack(path)
    before, _, reason = str(caught.value).partition(f"the stack file {path}")
    assert before == ""
    return reason.removeprefix(": ")


def test_current_stack_loads_with_the_istiods_beside_it() -> None:
    stack = load_stack(CURRENT)

    assert set(stack.versions) == set(VERSIONS)
    assert [(one.name, one.auto_reload) for one in stack.istiods] == [
        ("current", "removed"),
        ("istio-1.16", "switchable"),
    ]
    assert {one.version for one in stack.istiods} == {stack.versions["istio"], "1.16.5"}


def test_every_stack_file_is_used() -> None:
    beside = {f"{one.name}.toml" for one in load_stack(CURRENT).beside}

    assert {path.name for path in STACKS.glob("*.toml")} == {CURRENT.name} | beside


def test_istiod_beside_is_looked_for_in_the_folder_of_the_stack_first(tmp_path: Path) -> None:
    (tmp_path / "istio-1.16.toml").write_text((STACKS / "istio-1.16.toml").read_text().replace("1.16.5", "9"))
    path = tmp_path / "mine.toml"
    path.write_text(f'beside = ["istio-1.16"]\n{TEXT}')

    assert [one.version for one in load_stack(path).beside] == ["9"]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('istio = "1.16.5"', "", "versions lacks 'istio'"),
        ("[versions]", "[version]", "the file lacks 'versions'; the file has the unknown key 'version'"),
        ('"switchable"', '"maybe"', "features.auto-reload must be one of switchable, removed"),
        ("[images.pilot]", "[images.proxyv2]", "images lacks 'pilot'; images has the unknown key 'proxyv2'"),
    ],
)
def test_broken_file_of_an_istiod_is_refused(tmp_path: Path, old: str, new: str, reason: str) -> None:
    path = tmp_path / "broken.toml"
    path.write_text((STACKS / "istio-1.16.toml").read_text().replace(old, new))

    with pytest.raises(UsageError) as caught:
        load_istiod(path)

    assert str(caught.value) == f"the stack file {path}: {reason}"


def test_istiod_is_no_whole_stack() -> None:
    with pytest.raises(UsageError, match="describes an istiod beside a stack, not a whole stack"):
        load_stack(STACKS / "istio-1.16.toml")


def test_each_mode_has_its_own_references(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(TEXT)
    stack = load_stack(path)

    assert (stack.image("pilot", "pull"), stack.image("pilot", "build")) == ("pull/pilot:1", "built/pilot:1")


def test_all_built_images_but_the_node_are_preloaded_into_it() -> None:
    stack = load_stack(CURRENT)

    assert sorted(stack.preload().values()) == sorted({*IMAGES, "pilot-1.16"} - {"node"})
    built = {stack.image(name, "build") for name in IMAGES if name != "node"}
    assert set(stack.preload()) == built | {one.build for one in stack.beside}


def test_features_are_read(tmp_path: Path) -> None:
    path = tmp_path / "old.toml"
    text = TEXT.replace("native-sidecars = true", "native-sidecars = false")
    path.write_text(text.replace('"removed"', '"switchable"'))

    stack = load_stack(path)

    assert (stack.native_sidecars, stack.auto_reload) == (False, "switchable")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("[versions]", "[versionen]", "the file lacks 'versions'; the file has the unknown key 'versionen'"),
        ('spire = "1.2.3"\n', "", "versions lacks 'spire'"),
        (
            'spire = "1.2.3"',
            'spier = "1.2.3"',
            "versions lacks 'spire'; versions has the unknown key 'spier'",
        ),
        ('spire = "1.2.3"', "spire = 1.13", "versions.spire must be a text such as '1.2.3'"),
        ('spire = "1.2.3"', 'spire = ""', "versions.spire must be a text such as '1.2.3'"),
        ("[images.pilot]", "[images.pilots]", "images lacks 'pilot'; images has the unknown key 'pilots'"),
        ('pull = "pull/pilot:1"\n', "", "images.pilot lacks 'pull'"),
        ('pull = "pull/pilot:1"', "pull = 1", "images.pilot.pull must be a text"),
        ("[images.pilot]", "[images.pilot]\ntag = '1'", "images.pilot has the unknown key 'tag'"),
        ("native-sidecars = true", 'native-sidecars = "yes"', "features.native-sidecars must be a bool"),
        ("native-sidecars = true", "", "features lacks 'native-sidecars'"),
        ('"removed"', '"gone"', "features.auto-reload must be one of switchable, removed"),
        ("telemetry = false", "telemetry = 0", "build.telemetry must be a bool"),
        ("telemetry = false", "metrics = false", "build has the unknown key 'metrics'"),
        ("[build.pilot-env]", "[build.env]", "build has the unknown key 'env'"),
        ('FILTER = "false"', "FILTER = false", "build.pilot-env must be a table of texts"),
    ],
)
def test_fault_is_refused_with_its_key(old: str, new: str, reason: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, (old, new)) == reason


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    reason = refusal(
        tmp_path,
        ('spire = "1.2.3"\n', "colour = 5\n"),
        ("native-sidecars = true", "native-sidecars = 1"),
        ('build = "built/node:1"\n', ""),
    )

    assert reason.split("; ") == [
        "versions lacks 'spire'",
        "versions has the unknown key 'colour'",
        "versions.colour must be a text such as '1.2.3'",
        "images.node lacks 'build'",
        "features.native-sidecars must be a bool",
    ]


def test_table_of_another_type_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('versions = "1"\nfeatures = []\nimages = 5\nbuild = 1\n')

    with pytest.raises(UsageError) as caught:
        load_stack(path)

    assert str(caught.value).endswith(
        "versions must be a table; images must be a table; features must be a table; build must be a table"
    )


def test_file_that_is_not_toml_is_refused_with_the_place(tmp_path: Path) -> None:
    assert "is not TOML: " in refusal(tmp_path, ("[versions]", "[versions"))
    assert "line 1" in refusal(tmp_path, ("[versions]", "[versions"))


def test_file_that_is_no_text_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe")

    with pytest.raises(UsageError, match=f"the stack file {path} cannot be read"):
        load_stack(path)


def test_folder_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"the stack file {tmp_path} cannot be read"):
        load_stack(tmp_path)


def test_file_that_is_not_there_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml cannot be read: (?s:.*)No such file"):
        load_stack(tmp_path / "none.toml")
