from __future__ import annotations

import threading
from pathlib import Path

import pytest

from fixtures.build import builder
from fixtures.build.builder import (
    Plan,
    build,
    cache_folder,
    check_disk,
    go_version,
    image_tags,
    make_plan,
    node_contents,
    start_order,
)
from fixtures.build.recipe import Component, load_components
from fixtures.cluster import engine
from fixtures.cluster.failures import BuildError, DiskError
from fixtures.cluster.progress import Progress
from fixtures.stack.manifests import MANIFESTS, ROOT
from fixtures.stack.stackfile import load_stack
from suites.selftest.cluster.commands import DOCKER, Commands

LISTING = "docker images --format {{.Repository}}:{{.Tag}}"


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Go is there; the engine holds nothing."""
    table = Commands()
    table.prints("go env GOVERSION", "go1.26.1\n")
    table.prints(LISTING)
    monkeypatch.setattr(engine, "run", table)
    monkeypatch.setattr(builder, "run", table)
    return table


def component(root: Path, name: str, *images: str, needs: str = "", preload: str = "") -> Component:
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "Dockerfile").write_text(f"FROM scratch AS {name}\n")
    held = {f"registry/{preload}:1": preload} if preload else {}
    wanted = (needs,) if needs else ()
    return Component(name, folder, images or (name,), wanted, preload=held, wall_minutes=2)


@pytest.fixture
def components(tmp_path: Path) -> dict[str, Component]:
    """Three components: a base, two images on it, and a node that holds one of them."""
    parts = [
        component(tmp_path, "base"),
        component(tmp_path, "apps", "app", "app-debug", needs="base"),
        component(tmp_path, "node", preload="app"),
    ]
    return {part.name: part for part in parts}


def test_without_an_engine_everything_is_missing(
    components: dict[str, Component], commands: Commands
) -> None:
    plan = make_plan(components, {}, None)

    assert [part.name for part in plan.missing] == ["base", "apps", "node"]
    assert (plan.present, plan.minutes) == (0, 6)


def test_where_the_engine_holds_everything_nothing_is_missing(
    components: dict[str, Component], commands: Commands
) -> None:
    commands.prints(LISTING, "\n".join([*image_tags(components, {}).values(), "debian:12"]))

    plan = make_plan(components, {}, DOCKER)

    assert (plan.missing, plan.present, plan.minutes) == ((), 3, 0)


def test_component_is_missing_when_one_of_its_images_is(
    components: dict[str, Component], commands: Commands
) -> None:
    tags = image_tags(components, {})
    commands.prints(LISTING, "\n".join(tag for image, tag in tags.items() if image != "app-debug"))

    plan = make_plan(components, {}, DOCKER)

    assert ([part.name for part in plan.missing], plan.present) == (["apps"], 2)


def test_image_of_an_older_recipe_does_not_count(
    components: dict[str, Component], commands: Commands
) -> None:
    commands.prints(LISTING, "meshproof/base:latest\nmeshproof/base:0123456789abcdef")

    assert len(make_plan(components, {}, DOCKER).missing) == 3


def test_build_with_nothing_missing_builds_nothing(
    components: dict[str, Component], commands: Commands
) -> None:
    tags = image_tags(components, {})
    commands.prints(LISTING, "\n".join(tags.values()))
    lines: list[str] = []

    assert build(components, {}, DOCKER, Progress(lines.append)) == tags
    assert "nothing to build, all 3 components are there" in lines[-1]


def test_tags_are_the_same_each_time(components: dict[str, Component], commands: Commands) -> None:
    assert image_tags(components, {"x": "app"}) == image_tags(components, {"x": "app"})


def test_images_of_one_component_share_its_address(
    components: dict[str, Component], commands: Commands
) -> None:
    tags = image_tags(components, {})

    assert tags["app"].removeprefix("meshproof/app:") == tags["app-debug"].removeprefix(
        "meshproof/app-debug:"
    )


def test_node_follows_the_images_that_it_holds(components: dict[str, Component], commands: Commands) -> None:
    before = image_tags(components, {})

    (components["apps"].folder / "Dockerfile").write_text("FROM scratch AS other\n")
    after = image_tags(components, {})

    assert {image for image in before if before[image] != after[image]} == {"app", "app-debug", "node"}


def test_node_follows_what_the_stack_adds(components: dict[str, Component], commands: Commands) -> None:
    before, after = image_tags(components, {}), image_tags(components, {"mesh.local/base:1": "base"})

    assert {image for image in before if before[image] != after[image]} == {"node"}


def test_node_holds_its_own_images_and_the_stacks(components: dict[str, Component]) -> None:
    tags = {"app": "meshproof/app:1", "base": "meshproof/base:2"}

    assert node_contents(components["node"], {"mesh.local/base:1": "base"}, tags) == {
        "registry/app:1": "meshproof/app:1",
        "mesh.local/base:1": "meshproof/base:2",
    }


def test_pause_is_made_with_the_node(components: dict[str, Component]) -> None:
    contents = node_contents(components["base"], {"registry/pause:3": "pause"}, {})

    assert contents == {"registry/pause:3": "pause"}


def test_image_that_nobody_gives_is_refused(components: dict[str, Component]) -> None:
    with pytest.raises(BuildError, match="no component under images/ gives nobody, unknown"):
        node_contents(components["base"], {"x": "unknown", "y": "nobody"}, {"app": "meshproof/app:1"})


def test_real_components_give_all_that_the_stack_preloads(commands: Commands) -> None:
    stack = load_stack(MANIFESTS / "stacks" / "current.toml")

    tags = image_tags(load_components(ROOT / "images"), stack.preload())

    assert len({tag.rpartition(":")[2] for tag in tags.values()}) == len(load_components(ROOT / "images"))


def test_real_components_are_begun_after_those_that_they_need() -> None:
    """Else a pool could be full of components that wait for ones that are not begun."""
    every = load_components(ROOT / "images")
    every_but_node = tuple(name for name in every if name != "node")

    def needs(part: Component) -> tuple[str, ...]:
        return every_but_node if part.name == "node" else part.needs

    begun = [part.name for part in start_order(every.values(), needs)]

    for part in every.values():
        assert all(begun.index(need) < begun.index(part.name) for need in needs(part))
    assert begun[:2] == ["debian", "kubernetes"]
    assert begun[-1] == "node"


@pytest.mark.parametrize(
    "version", ["go1.26", "go1.26.8", "go1.30.1", "go2.0", "go1.27rc1", "devel go1.28-a1b2c3"]
)
def test_go_that_is_new_enough(version: str, commands: Commands) -> None:
    commands.prints("go env GOVERSION", f"{version}\n")

    assert go_version() == version


@pytest.mark.parametrize("version", ["go1.25.9", "go1.9", "", "gccgo"])
def test_go_that_is_too_old_is_refused(version: str, commands: Commands) -> None:
    commands.prints("go env GOVERSION", version)

    with pytest.raises(BuildError, match=r"needs Go 1\.26 or later; this is"):
        go_version()


def test_without_go_the_error_names_both_ways_out(commands: Commands) -> None:
    commands.fails("go env GOVERSION", "No such file or directory: 'go'")

    with pytest.raises(BuildError, match="install it, or let the images be pulled with --images pull"):
        go_version()


def test_enough_disk_passes(tmp_path: Path) -> None:
    check_disk(0, tmp_path)


def test_too_little_disk_is_an_error_with_the_place_and_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(DiskError) as caught:
        check_disk(2e9, tmp_path / "not" / "there" / "yet")

    text = str(caught.value)
    assert text.startswith(f"2000000000 GiB of disk are needed at {tmp_path}, ")
    assert "make room" in text
    assert "XDG_CACHE_HOME" in text


def test_too_little_disk_stops_a_build_before_it_begins(
    components: dict[str, Component], commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builder, "DISK_GIB", 2e9)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    commands.prints("docker info --format {{.DockerRootDir}}", str(tmp_path))

    with pytest.raises(DiskError):
        build(components, {}, DOCKER, Progress(print))

    assert not (tmp_path / "cache").exists()


def test_caches_follow_xdg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert cache_folder() == tmp_path / "meshproof"


def test_without_xdg_caches_are_below_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    assert cache_folder() == tmp_path / ".cache" / "meshproof"


def test_one_builder_at_a_time_and_the_second_says_that_it_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    waits = threading.Event()
    events: list[str] = []

    def second() -> None:
        with builder._one_builder(Progress(lambda _: waits.set())):
            events.append("second begins")

    with builder._one_builder(Progress(print)):
        thread = threading.Thread(target=second)
        thread.start()
        assert waits.wait(20)
        events.append("first ends")
    thread.join(20)

    assert events == ["first ends", "second begins"]


def test_what_only_the_user_can_install_is_said_before_anything_is_built(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    part = Component("spire", tmp_path, ("spire-server",), cgo=True)
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr(builder, "may_start_engine", lambda: False)

    with pytest.raises(BuildError, match=r"needs gcc, libc6-dev, .*--images pull"):
        builder._prepare_machine(Plan({}, (part,), 0), Progress(print))
