"""Trained models as files that other programs run."""

from __future__ import annotations

import json
import logging
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, get_args

from caloforge.errors import ConfigError, MissingDependencyError
from caloforge.files import check_folder, filling, made
from caloforge.models.registry import model_class
from caloforge.trained.configuration import read_config
from caloforge.zoo import load_simulator, model_folder

if TYPE_CHECKING:
    from pathlib import Path

    from caloforge.export.result import Export
    from caloforge.simulator import Simulator

__all__ = ["RESULT", "TARGETS", "Target", "export"]

Target = Literal["onnx", "par04", "ddml", "cpp"]

TARGETS: tuple[Target, ...] = get_args(Target)
"""What can be written."""

RESULT = "export.json"
"""The file with the comparison and the times."""

_NEEDED = ("onnx", "onnxscript", "onnxruntime")
_logger = logging.getLogger(__name__)


def export(name: str, *, target: Target, out: Path, force: bool = False) -> Export:
    """Write a trained model for another program into a folder, all of it or nothing.

    Args:
        name: A shipped model ``model:tag``, or the folder of a run.
        target: ``onnx``: graphs with a program that runs them; ``par04``: for Geant4's example Par04;
            ``ddml``: for key4hep's DDML; ``cpp``: for mosaic's C++ engine.
        out: The folder; it is made.
        force: Replace an export in it.

    Raises:
        ConfigError: The model does not go there, and why.
        MissingDependencyError: The extra ``export`` is not installed.
        OutputError: The folder holds an export and ``force`` is not given, or it cannot be written.
    """
    with made(out), filling(out) as folder:
        check_folder(out, without=(RESULT,), force=force)
        result = _write(name, target, folder)
        text = json.dumps({"model": name, **result.as_dict()}, indent=2)
        (folder / RESULT).write_text(text + "\n", encoding="utf-8")
    return result


def _write(name: str, target: Target, folder: Path) -> Export:
    if target != "cpp":
        _check_graph(read_config(model_folder(name)).model_name)
    simulator = load_simulator(name, networks=target != "cpp")
    if target == "cpp":
        from caloforge.export.cpp import write_cpp

        return write_cpp(name, simulator, folder)
    _require()
    return _write_graph(name, target, simulator, folder)


def _write_graph(name: str, target: Target, simulator: Simulator, folder: Path) -> Export:
    if target == "par04":
        from caloforge.export.par04 import write_par04

        return write_par04(name, simulator, folder)
    if target == "ddml":
        from caloforge.export.ddml import write_ddml

        return write_ddml(name, simulator, folder)
    from caloforge.export.onnx_target import write_onnx

    return write_onnx(name, simulator, folder)


def _check_graph(model: str) -> None:
    reason = model_class(model).no_graph
    if reason:
        msg = f"{model} has no ONNX graph, for {reason}."
        raise ConfigError(msg)


def _require() -> None:
    missing = [package for package in _NEEDED if find_spec(package) is None]
    if missing:
        msg = f"Exports need {' and '.join(missing)}: install them with pip install 'caloforge[export]'."
        raise MissingDependencyError(msg)
