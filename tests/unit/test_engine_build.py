"""What the build makes of the engine."""

from __future__ import annotations

import os
import shutil
import tomllib
from pathlib import Path

import pytest

from caloforge.models.mosaic import native

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(
    not (os.environ.get("CI") or os.environ.get("CALOFORGE_CI")),
    reason="a checkout may be without the engine",
)
@pytest.mark.skipif(
    all(shutil.which(name) is None for name in ("c++", "g++", "clang++")), reason="there is no C++ compiler"
)
def test_continuous_integration_has_the_engine() -> None:
    # the installation does without it when it cannot be compiled, and its tests would be skipped
    assert native.available()


def test_the_installation_does_without_a_compiler() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["scikit-build"]
    failed = [override for override in settings["overrides"] if override["if"] == {"failed": True}]
    assert [override["wheel"] for override in failed] == [{"cmake": False, "py-api": "py3"}]


def test_one_module_is_for_all_versions_of_python_from_the_stable_interface_on() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["scikit-build"]
    cmake = (ROOT / "engine" / "src" / "CMakeLists.txt").read_text(encoding="utf-8")
    assert settings["wheel"]["py-api"] == "cp312"
    assert "STABLE_ABI" in cmake
    assert "${SKBUILD_SABI_COMPONENT}" in cmake


def test_headers_need_the_standard_library_alone() -> None:
    standard = {"algorithm", "array", "cmath", "cstddef", "cstdint", "cstdlib", "cstring"}
    standard |= {"fstream", "new", "numeric", "stdexcept", "string", "unordered_map", "utility", "vector"}
    standard |= {"emmintrin.h", "sys/mman.h"}  # of the processor and the system, where they are
    for header in (ROOT / "engine" / "include").rglob("*.hpp"):
        lines = header.read_text(encoding="utf-8").splitlines()
        found = {line.split("<")[1].split(">")[0] for line in lines if line.startswith("#include <")}
        assert found <= standard, header
