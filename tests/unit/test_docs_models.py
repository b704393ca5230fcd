"""The pages name the models, presets and trained models that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from caloforge.models import StageConfig, model_class, model_names
from caloforge.records import record_keys
from caloforge.training import preset_names
from caloforge.zoo import shipped_models

ROOT = Path(__file__).parents[2]


def rows() -> dict[str, list[str]]:
    """The README's table: cells by model."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").split("<!-- models -->")[1]
    lines = text.split("<!-- end of models -->")[0].strip().splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0].strip("`"): row for row in cells}


def test_readme_has_every_model_with_its_presets_and_trained_models() -> None:
    """``python benchmarks/models_table.py`` writes the table anew."""
    found = rows()
    assert sorted(found) == sorted(model_names())
    presets = [f"{name}/{p}" for name, row in found.items() for p in re.findall(r"`([^`]+)`", row[3])]
    assert sorted(presets) == sorted(preset_names())
    trained = [f"{name}:{tag}" for name, row in found.items() for tag in re.findall(r"`:([^`]+)`", row[4])]
    assert sorted(trained) == sorted(shipped_models())


def test_every_model_has_a_section_on_the_page_of_models() -> None:
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^## .*?\(((?:`[a-z0-9-]+`(?:, )?)+)\)", text, flags=re.MULTILINE))
    assert {name for group in named for name in re.findall(r"`([^`]+)`", group)} == set(model_names())


def test_zoo_table_has_known_models_and_presets() -> None:
    text = (ROOT / "benchmarks" / "models.txt").read_text(encoding="utf-8")
    fields = [line.split("|") for line in text.splitlines() if line and not line.startswith("#")]
    assert {len(row) for row in fields} == {8}
    assert {row[1].strip() for row in fields} <= set(model_names())
    assert {f"{row[1].strip()}/{row[3].strip()}" for row in fields} <= set(preset_names())
    names = [(row[0].strip(), row[5].strip()) for row in fields]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", model_names())
def test_every_key_of_a_model_says_what_it_means(name: str) -> None:
    keys = list(record_keys(model_class(name).config_class, "model"))
    assert not [key.name for key in keys if not key.meaning]


def test_keys_have_defaults_and_the_text_under_the_field() -> None:
    keys = {key.name: key for key in record_keys(StageConfig, "training.STAGE")}
    clip, keep = keys["training.STAGE.clip"], keys["training.STAGE.keep"]
    assert (clip.default, clip.meaning) == (10.0, "Largest gradient norm.")
    assert keep.meaning == "Weights of the last step or of the best validation."
