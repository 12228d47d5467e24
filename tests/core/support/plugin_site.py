"""Makes a plugin's package visible without pip, and runs its tests in a process of its own."""

from __future__ import annotations

import os
import shutil
import sys
import tomllib
from pathlib import Path

from toy_program import FORK, PATIENCE, add_distribution


def install(package: Path, site: Path) -> str:
    """Copy a package with a `src` folder into `site`, with its entry points; return its plugin."""
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    points = project["entry-points"]["rlvit.plugins"]
    shutil.copytree(
        package / "src", site, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
    )
    add_distribution(site, project["name"], points, project["version"])
    (name,) = points
    return str(name)


def run_tests(package: Path, site: Path, output: Path) -> tuple[int, str]:
    """Return the exit code of a package's own tests, and what pytest printed."""
    process = FORK.Process(target=_pytest, args=(str(package), str(site), str(output)))
    process.start()
    process.join(2 * PATIENCE)
    if process.exitcode is None:
        process.kill()
        raise TimeoutError(output.read_text())
    return process.exitcode, output.read_text()


def _pytest(package: str, site: str, output: str) -> None:
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for descriptor in (1, 2):
        os.dup2(file, descriptor)
    os.chdir(package)
    for name in ("PYTEST_ADDOPTS", "RLVIT_HOME", "RLVIT_REGISTRY"):
        os.environ.pop(name, None)
    os.environ["PYTHONPATH"] = site
    sys.path.insert(0, site)
    import pytest

    sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-rs", "tests"]))
