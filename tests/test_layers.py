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
    {"errors", "limits"},
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
MODULES = sorted(
    p for p in PACKAGE.rglob("*.py") if p.parent != PACKAGE or p.stem in ("errors", "limits")
)


def imported_parts(module: Path) -> set[str]:
    """The package's parts that a module imports, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            assert node.module is not None
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    parts = {name.split(".")[1] for name in names if name.startswith("dunrestore.")}
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


def test_networks_know_no_files_and_no_downloads():
    networks = {"arin", "car", "edsr", "guided", "hinet", "normalisation"}
    for name in networks:
        module = PACKAGE / "models" / f"{name}.py"
        text = module.read_text(encoding="utf-8")
        for banned in ("pathlib", "requests", "logging", "dunrestore.imaging.files"):
            assert f"import {banned}" not in text, f"{module.name} imports {banned}"
            assert f"from {banned}" not in text, f"{module.name} imports {banned}"
