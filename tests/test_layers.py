"""Imports point one way: from the command line down to the errors."""

import ast
from pathlib import Path

import pytest

import dunrestore

PACKAGE = Path(dunrestore.__file__).parent
LAYERS = [
    {"cli"},
    {"diagnosis"},
    {"benchmarking", "training", "restoration"},
    {"reports", "provenance"},
    {"checkpoints", "datasets"},
    {"degradations", "metrics", "models"},
    {"imaging"},
    {"storage"},
    {"errors", "resources", "stamps"},
]
FLOORS = {
    "imaging": [
        {"files", "folders", "keeping", "mask_files"},
        {"formats"},
        {"metadata"},
        {"all else"},
    ],
    "restoration": [{"batch"}, {"all else"}, {"damage"}],
}
NETWORKS = ("arin", "car", "edsr", "guided", "hinet", "normalisation")
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p.parent != PACKAGE or p.stem in LAYERS[-1])


def imported(module: Path) -> set[str]:
    """The modules, and names of them, that a module imports, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            assert node.module is not None
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def imported_parts(module: Path) -> set[str]:
    """The package's parts among them."""
    parts = {name.split(".")[1] for name in imported(module) if name.startswith("dunrestore.")}
    return parts & set(RANK)


@pytest.mark.parametrize("module", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_imports_only_its_own_layer_or_lower(module):
    own = module.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert own in RANK, f"{own} belongs to no layer"
    upward = {part for part in imported_parts(module) if RANK[part] < RANK[own]}
    sideways = {part for part in imported_parts(module) if RANK[part] == RANK[own] and part != own}
    assert not upward, f"imports upward: {upward}"
    if own != "benchmarking":  # measures restoration, so it may call it
        assert not sideways, f"imports sideways: {sideways}"


@pytest.mark.parametrize("part", FLOORS)
def test_inside_a_layer_too(part):
    floor_of = {name: floor for floor, names in enumerate(FLOORS[part]) for name in names}

    def floor(name: str) -> int:
        return floor_of.get(name, floor_of["all else"])

    for module in PACKAGE.joinpath(part).rglob("*.py"):
        own = floor(module.relative_to(PACKAGE / part).parts[0].removesuffix(".py"))
        for name in imported(module):
            if name.startswith(f"dunrestore.{part}."):
                assert floor(name.split(".")[2]) >= own, f"{module} imports upward: {name}"


def test_networks_know_no_files_and_no_downloads():
    for name in NETWORKS:
        module = PACKAGE / "models" / f"{name}.py"
        text = module.read_text(encoding="utf-8")
        for banned in ("pathlib", "requests", "logging", "dunrestore.imaging.files"):
            assert f"import {banned}" not in text, f"{module.name} imports {banned}"
            assert f"from {banned}" not in text, f"{module.name} imports {banned}"


def test_networks_reach_no_files_and_no_downloads_either():
    """Neither does what they import, whatever that is."""
    todo = [PACKAGE / "models" / f"{name}.py" for name in NETWORKS]
    reached = {PACKAGE / "errors.py"}  # which names paths and opens none
    while todo:
        module = todo.pop()
        reached.add(module)
        own, others = set[Path](), set[str]()
        for name in imported(module):
            inside = PACKAGE.parent.joinpath(*name.split(".")).with_suffix(".py")
            (own.add(inside) if inside.is_file() else others.add(name.split(".")[0]))
        banned = others & {"os", "pathlib", "platformdirs", "psutil", "requests", "shutil"}
        assert not banned, f"{module.name} imports {banned}"
        todo += own - reached
    assert PACKAGE / "models" / "passes.py" in reached
