from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.build.recipe import Debian, keys, load_components, node_key
from fixtures.cluster.failures import UsageError

GO = """
images = ["tool", "tool-debug"]
wall-minutes = 1.5
[go]
cgo = true
tags = ["netgo"]
ldflags = ["-X a=b"]
[go.binaries]
tool = "example.org/tool"
[files]
"etc" = "example.org/module:etc"
[wheel]
requirements = "wheel.txt"
"bin/envoy" = "envoy"
"""
PLAIN = 'images = ["{0}"]\nwall-minutes = 1\n'


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Three components: `top` is built on `base`, and only `tool` uses Go."""
    add(tmp_path, "base", PLAIN.format("base"))
    add(tmp_path, "tool", GO)
    add(tmp_path, "top", PLAIN.format("top") + 'needs = ["base"]\n')
    return tmp_path


def add(root: Path, name: str, text: str) -> None:
    (root / name).mkdir(exist_ok=True)
    (root / name / "component.toml").write_text(text)


def addresses(root: Path, go: str = "go1.26.1") -> dict[str, str]:
    return keys(load_components(root), go)


def changed(root: Path, before: dict[str, str]) -> set[str]:
    """Name the components whose address is another one than before."""
    return {name for name, key in addresses(root).items() if key != before[name]}


def test_every_field_is_read(images: Path) -> None:
    tool = load_components(images)["tool"]

    assert (tool.name, tool.folder, tool.images) == ("tool", images / "tool", ("tool", "tool-debug"))
    assert (tool.cgo, tool.tags, tool.ldflags) == (True, ("netgo",), ("-X a=b",))
    assert tool.binaries == {"tool": "example.org/tool"}
    assert tool.module_files == {"etc": "example.org/module:etc"}
    assert (tool.requirements, tool.wheel_files) == ("wheel.txt", {"bin/envoy": "envoy"})
    assert tool.wall_minutes == 1.5


def test_debian_packages_are_read(tmp_path: Path) -> None:
    text = '[debian]\nsuite = "bookworm"\nnode = ["systemd"]\nnetbase = ["libc6"]\n'
    add(tmp_path, "debian", PLAIN.format("debian") + text)

    debian = load_components(tmp_path)["debian"].debian

    assert debian == Debian("bookworm", ("systemd",), ("libc6",))


def test_components_come_after_those_that_they_need(images: Path) -> None:
    add(images, "a-first", PLAIN.format("a-first") + 'needs = ["top"]\n')

    names = list(load_components(images))

    assert names.index("base") < names.index("top") < names.index("a-first")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (PLAIN + "colour = 1\n", "unknown key 'colour'"),
        (PLAIN + "[go]\ncolour = 1\n", "unknown key 'colour'"),
        ("wall-minutes = 1\n", "the key 'images' is missing"),
        ('images = ["x"]\n', "the key 'wall-minutes' is missing"),
        (PLAIN + '[debian]\nsuite = "bookworm"\nnode = []\n', "the key 'netbase' is missing"),
        ("images = [", "TOMLDecodeError"),
        ("images = 5\nwall-minutes = 1\n", "TypeError"),
        ('images = "x"\nwall-minutes = 1\n', "a list is wanted, not 'x'"),
        ('images = ["x"]\nwall-minutes = "long"\n', "could not convert string to float"),
        ("go = 1\n" + PLAIN, "AttributeError"),
        (PLAIN + "files = 1\n", "TypeError"),
    ],
)
def test_broken_file_is_an_error_that_names_it(text: str, reason: str, tmp_path: Path) -> None:
    add(tmp_path, "bad", text.replace("{0}", "bad"))

    with pytest.raises(UsageError) as caught:
        load_components(tmp_path)

    assert str(caught.value).startswith(f"{tmp_path}/bad/component.toml: ")
    assert reason in str(caught.value)


def test_file_that_is_no_text_is_an_error_that_names_it(tmp_path: Path) -> None:
    add(tmp_path, "bad", "")
    (tmp_path / "bad" / "component.toml").write_bytes(b"\xff")

    with pytest.raises(UsageError, match=r"bad/component\.toml: UnicodeDecodeError"):
        load_components(tmp_path)


def test_need_that_is_not_there_is_an_error(images: Path) -> None:
    add(images, "top", PLAIN.format("top") + 'needs = ["bas"]\n')

    with pytest.raises(UsageError, match=r"images/top/component\.toml needs 'bas', which is not there"):
        load_components(images)


def test_components_that_need_each_other_are_an_error(images: Path) -> None:
    add(images, "base", PLAIN.format("base") + 'needs = ["top"]\n')

    with pytest.raises(UsageError, match=r"images/base/component\.toml needs itself, by way of 'top'"):
        load_components(images)


def test_folder_without_components_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"no component is described under {tmp_path}"):
        load_components(tmp_path)


def test_addresses_are_equal_for_equal_content_wherever_it_is(
    images: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    copy = tmp_path_factory.mktemp("copy")
    for name in ("top", "tool", "base"):
        add(copy, name, (images / name / "component.toml").read_text())

    assert addresses(copy) == addresses(images)


def test_addresses_do_not_depend_on_times(images: Path) -> None:
    before = addresses(images)

    (images / "tool" / "component.toml").touch()

    assert addresses(images) == before


def test_address_changes_with_any_file_of_the_folder(images: Path) -> None:
    (images / "tool" / "files").mkdir()
    file = images / "tool" / "files" / "config"
    file.write_text("a")
    before = addresses(images)

    file.write_text("b")

    assert changed(images, before) == {"tool"}


def test_address_changes_with_a_new_file(images: Path) -> None:
    before = addresses(images)

    (images / "tool" / "Dockerfile").touch()

    assert changed(images, before) == {"tool"}


def test_address_changes_with_the_name_of_a_file(images: Path) -> None:
    (images / "tool" / "a").write_text("same")
    before = addresses(images)

    (images / "tool" / "a").rename(images / "tool" / "b")

    assert changed(images, before) == {"tool"}


def test_address_changes_when_a_need_changes(images: Path) -> None:
    before = addresses(images)

    (images / "base" / "Dockerfile").touch()

    assert changed(images, before) == {"base", "top"}


def test_address_of_go_components_alone_changes_with_go(images: Path) -> None:
    before, after = addresses(images, "go1.26.1"), addresses(images, "go1.26.2")

    assert {name for name in before if before[name] != after[name]} == {"tool"}


def test_address_changes_with_the_way_of_building(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = addresses(images)

    monkeypatch.setattr("fixtures.build.recipe.RECIPE", "next")

    assert changed(images, before) == {"base", "tool", "top"}


def test_equal_folders_of_other_names_have_other_addresses(tmp_path: Path) -> None:
    for name in ("one", "two"):
        add(tmp_path, name, PLAIN.format("x"))

    assert len(set(addresses(tmp_path).values())) == 2


def test_node_address_follows_what_it_holds() -> None:
    held = {"registry/a:1": "meshproof/a:1", "registry/b:1": "meshproof/b:1"}

    found = {
        node_key("base", held),
        node_key("other base", held),
        node_key("base", {**held, "registry/a:1": "meshproof/a:2"}),
        node_key("base", {**held, "registry/c:1": "meshproof/a:1"}),
        node_key("base", {}),
    }

    assert len(found) == 5


def test_node_address_does_not_depend_on_the_order() -> None:
    held = {"a": "1", "b": "2"}

    assert node_key("base", held) == node_key("base", dict(reversed(held.items())))
