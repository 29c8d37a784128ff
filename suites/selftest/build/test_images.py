"""What is under images/, read as it is: it must fit together and fit the stack file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fixtures.build.recipe import Component, load_components
from fixtures.stack.manifests import MANIFESTS, ROOT
from fixtures.stack.stackfile import IMAGES, load_stack

COMPONENTS = load_components(ROOT / "images")
STACK = load_stack(MANIFESTS / "stacks" / "current.toml")


def each(*parts: Component) -> pytest.MarkDecorator:
    """Run a test once per component."""
    return pytest.mark.parametrize("component", parts, ids=[part.name for part in parts])


every = each(*COMPONENTS.values())
of_go = each(*(part for part in COMPONENTS.values() if part.binaries))
# Debian itself is made by debootstrap.
of_docker = each(*(part for part in COMPONENTS.values() if not part.debian))


def requirements(folder: Path) -> dict[str, str]:
    """Read the versions of a go.mod, by module."""
    lines = re.findall(
        r"(?m)^(?:require )?\s*(\S+\.\S+/\S+) v(\S+)(?: // indirect)?$", (folder / "go.mod").read_text()
    )
    return dict(lines)


def text_of(component: str, name: str) -> str:
    return (COMPONENTS[component].folder / name).read_text()


@of_docker
def test_every_image_is_a_target_of_the_dockerfile(component: Component) -> None:
    targets = re.findall(r"(?m)^FROM .* AS (\S+)$", (component.folder / "Dockerfile").read_text())

    assert set(component.images) <= set(targets)


@of_docker
def test_dockerfile_is_built_on_nothing_but_what_the_component_needs(component: Component) -> None:
    dockerfile = (component.folder / "Dockerfile").read_text()
    given = {i.upper().replace("-", "_") for need in component.needs for i in COMPONENTS[need].images}

    asked = set(re.findall(r"(?m)^ARG (\S+)$", dockerfile))
    bases = set(re.findall(r"(?m)^FROM (\S+)", dockerfile))

    assert asked <= given
    assert bases <= {"scratch", *(f"${{{name}}}" for name in asked)}


@of_go
def test_go_module_and_checksums_are_there(component: Component) -> None:
    assert (component.folder / "go.mod").is_file()
    assert (component.folder / "go.sum").read_text().count(" h1:") > 0


@of_go
def test_every_command_comes_from_a_pinned_module_or_the_folder(component: Component) -> None:
    modules = requirements(component.folder)

    for package in component.binaries.values():
        assert package == "." or any(f"{package}/".startswith(f"{module}/") for module in modules)


@every
def test_files_of_modules_come_from_pinned_modules(component: Component) -> None:
    modules = {source.partition(":")[0] for source in component.module_files.values()}

    assert not modules or modules <= set(requirements(component.folder))


@every
def test_wheel_is_pinned_by_its_hash(component: Component) -> None:
    if component.requirements:
        text = (component.folder / component.requirements).read_text()
        assert re.fullmatch(r"[\w-]+==\S+ --hash=sha256:[0-9a-f]{64}\n", text)


def test_no_two_components_give_the_same_image() -> None:
    names = [image for component in COMPONENTS.values() for image in component.images]

    assert len(names) == len(set(names))


def test_every_image_of_the_stack_is_given() -> None:
    names = {image for component in COMPONENTS.values() for image in component.images}

    assert set(IMAGES) <= names


def test_preloaded_images_are_given() -> None:
    names = {image for component in COMPONENTS.values() for image in component.images}

    assert set(COMPONENTS["node"].preload.values()) <= names | {"pause"}


@pytest.mark.parametrize(
    ("component", "module", "part"),
    [
        ("kubernetes", "k8s.io/kubernetes", "kubernetes"),
        ("kind", "sigs.k8s.io/kind", "kind"),
        ("node", "sigs.k8s.io/kind", "kind"),
        ("cert-manager", "github.com/cert-manager/cert-manager", "cert-manager"),
        ("spire", "github.com/spiffe/spire", "spire"),
        (
            "spire-controller-manager",
            "github.com/spiffe/spire-controller-manager",
            "spire-controller-manager",
        ),
        ("spiffe-csi", "github.com/spiffe/spiffe-csi", "spiffe-csi"),
    ],
)
def test_pinned_module_is_of_the_stacks_version(component: str, module: str, part: str) -> None:
    assert requirements(COMPONENTS[component].folder)[module] == STACK.versions[part]


def test_kubernetes_libraries_are_of_the_stacks_version() -> None:
    minor = STACK.versions["kubernetes"].removeprefix("1.")
    replaced = re.findall(r"(?m)^\t(k8s\.io/\S+) => \1 v(\S+)$", text_of("kubernetes", "go.mod"))

    assert len(replaced) > 20
    assert {version for _, version in replaced} == {f"0.{minor}"}


def test_kubernetes_says_the_stacks_version() -> None:
    flags = "\n".join(COMPONENTS["kubernetes"].ldflags)

    assert set(re.findall(r"gitVersion=v(\S+)", flags)) == {STACK.versions["kubernetes"]}


def test_node_holds_control_plane_images_of_the_stacks_version() -> None:
    references = [r for r in COMPONENTS["node"].preload if "/kube-" in r]

    assert len(references) == 4
    assert {r.rpartition(":v")[2] for r in references} == {STACK.versions["kubernetes"]}


def test_cert_manager_says_the_stacks_version() -> None:
    (flag,) = COMPONENTS["cert-manager"].ldflags

    assert flag.endswith(f"AppVersion=v{STACK.versions['cert-manager']}")


def test_istio_says_the_release_and_the_commit_that_is_pinned() -> None:
    commit = requirements(COMPONENTS["istio"].folder)["istio.io/istio"].rpartition("-")[2]
    flags = COMPONENTS["istio"].ldflags
    release = STACK.versions["istio"].rpartition(".")[0]

    assert f"-X istio.io/istio/pkg/version.buildVersion={release}" in flags
    assert f"-X istio.io/istio/pkg/version.buildGitRevision={commit}" in flags


def test_envoy_is_of_the_stacks_version() -> None:
    assert f"=={STACK.versions['envoy']} " in text_of("istio", "envoy.txt")


@pytest.mark.parametrize("mode", [0, 1], ids=["pull", "build"])
def test_fortio_image_is_of_the_pinned_version(mode: int) -> None:
    version = requirements(COMPONENTS["fortio"].folder)["fortio.org/fortio"]

    assert STACK.images["fortio"][mode].rpartition(":")[2] == version


@pytest.mark.parametrize(
    "image", [name for name in IMAGES if name not in {"node", "csi-registrar", "fortio"}]
)
def test_tags_in_both_modes_are_the_stacks_version(image: str) -> None:
    prefixes = {"pilot": "istio", "proxyv2": "istio", "spire-agent": "spire", "spire-server": "spire"}
    part = prefixes.get(image) or max((p for p in STACK.versions if image.startswith(p)), key=len)

    tags = {reference.rpartition(":")[2].removeprefix("v") for reference in STACK.images[image]}

    assert tags == {STACK.versions[part]}
