"""Files that are read elsewhere (package indices, GitHub, Zenodo) say the same as the package."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import caloforge
from caloforge.optional import REPORT, absent, check_installed, versions

ROOT = Path(caloforge.__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT = ROOT / "pyproject.toml"

pytestmark = pytest.mark.skipif(not PROJECT.is_file(), reason="installed without its sources")


def project() -> dict[str, Any]:
    return tomllib.loads(PROJECT.read_text(encoding="utf-8"))


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=!~; ]", each)[0].lower() for each in requirements}


def test_citation_and_archive_are_of_this_package() -> None:
    told = project()["project"]
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    archived = json.loads((ROOT / ".zenodo.json").read_text(encoding="utf-8"))
    assert told["version"] == cited["version"] == caloforge.__version__
    assert told["license"] == cited["license"] == archived["license"]
    assert told["keywords"] == cited["keywords"] == archived["keywords"]
    assert cited["title"] == archived["title"]
    assert cited["abstract"] == archived["description"]
    assert archived["upload_type"] == cited["type"] == "software"


def test_the_extra_all_has_every_other_one_but_mpi() -> None:
    extras = project()["project"]["optional-dependencies"]
    (everything,) = extras["all"]
    assert set(everything.split("[")[1].rstrip("]").split(",")) == set(extras) - {"all", "mpi"}
    assert set(REPORT) == names(extras["report"])


def test_the_core_has_none_of_the_packages_of_extras() -> None:
    told = project()["project"]
    others = set().union(*(names(packages) for packages in told["optional-dependencies"].values()))
    assert not names(told["dependencies"]) & others
    page = (ROOT / "docs" / "installation.md").read_text(encoding="utf-8")
    assert all(f"`{extra}`" in page for extra in told["optional-dependencies"])


def test_all_versions_of_python_are_built_and_tested() -> None:
    settings = project()
    classifiers = settings["project"]["classifiers"]
    known = {c.split(" :: ")[-1] for c in classifiers if re.search(r"Python :: 3\.\d+$", c)}
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8"))["jobs"]
    assert set(jobs["test"]["strategy"]["matrix"]["python"]) == known
    built = settings["tool"]["cibuildwheel"]["build"].split()
    assert built == [f"cp{each.replace('.', '')}-*" for each in sorted(known)]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_ask_for_little_and_name_versions(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert set(job) >= {"runs-on", "steps"}
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            assert re.search(r"@(v\d|release/v\d)", step.get("uses", "@v1"))
        needed = job.get("needs", [])
        assert set([needed] if isinstance(needed, str) else needed) <= set(workflow["jobs"])


def test_what_is_not_installed_is_told() -> None:
    assert absent("numpy", "no_such_package", "no_such.module") == ("no_such_package", "no_such.module")
    assert set(versions("numpy", "no-such-package")) == {"numpy"}
    with pytest.raises(ImportError, match=r"Hats need the package no_such_package: .*'caloforge\[hats\]'"):
        check_installed("numpy", "no_such_package", extra="hats", what="Hats")


def test_a_machine_without_git_trains_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    run = pytest.importorskip("caloforge.training.run")
    monkeypatch.setenv("PATH", "")
    assert run._git_state() == "not known"
