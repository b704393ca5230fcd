"""The numbers of an evaluation, for the card of the model that was judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from caloforge.errors import ConfigError, FormatError, did_you_mean, shown
from caloforge.markup import parse_json, read_bytes
from caloforge.names import EVALUATION
from caloforge.trained.card import check_card

__all__ = ["evaluation_of"]

_METRICS = EVALUATION[0]


def evaluation_of(folder: Path, label: str) -> dict[str, Any]:
    """Read what ``caloforge evaluate`` wrote of a model; files are called by their names alone.

    Args:
        folder: Of the evaluation.
        label: The model's name in it; where it has one model, that one is taken.

    Returns:
        ``settings`` and ``metrics``.

    Raises:
        ConfigError: It has several models, none of that name.
        FormatError: It is not there or damaged.
    """
    path = folder / _METRICS
    content = read_bytes(path, what="evaluation", error=FormatError)
    told = parse_json(content, source=f"The evaluation {path}", error=FormatError)
    try:
        found = {"settings": told["settings"], "metrics": _of_model(told["models"], label, path)}
        for sample in (found["settings"]["reference"], *found["settings"]["generated"].values()):
            sample["path"] = Path(sample["path"]).name
    except (TypeError, KeyError, AttributeError) as error:
        msg = f"{path} is damaged, or not what `caloforge evaluate` writes: {shown(error)}."
        raise FormatError(msg) from error
    check_card({"evaluation": found}, source=str(path))
    return found


def _of_model(models: dict[str, Any], label: str, path: Path) -> Any:
    if label not in models and len(models) != 1:
        msg = f"{path} has no model {shown(label)}: {did_you_mean(label, models)}."
        raise ConfigError(msg)
    return models.get(label) or next(iter(models.values()))
