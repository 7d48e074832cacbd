import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import dunrestore


def loaded_after(statement):
    check = f"{statement}\nimport sys; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import dunrestore",
        "from dunrestore.cli.app import run; run(['--help'])",
        "from dunrestore.cli.app import run; run(['--version'])",
        "from dunrestore.cli.app import run; run(['restore'])",
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(statement):
    heavy = {"torch", "numpy", "scipy", "skimage", "PIL", "tifffile", "imagecodecs", "requests"}
    assert not loaded_after(statement) & heavy


def test_the_python_interface_is_there():
    assert callable(dunrestore.load)
    assert callable(dunrestore.restore)
    with pytest.raises(AttributeError):
        _ = dunrestore.nothing


def test_the_module_runs():
    done = subprocess.run(
        [sys.executable, "-m", "dunrestore", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == f"dunrestore {dunrestore.__version__}"


def test_the_source_distribution_holds_all_folders_that_the_tests_need():
    root = Path(__file__).parents[1]
    include = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    sources = (path.read_text() for path in (root / "tests").rglob("test_*.py"))
    named = {name for text in sources for name in re.findall(r'parents\[\d\] / "(\w+)"', text)}
    assert {f"/{name}" for name in named} <= {*include["targets"]["sdist"]["include"]}
