"""Every kind of damage to a saved model is one sentence."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from caloforge.errors import FormatError
from caloforge.models import build_model, model_class
from caloforge.trained.card import check_card
from caloforge.trained.files import read_model, write_model
from caloforge.trained.stored import SavedRange
from caloforge.zoo import load_simulator, model_folder, shipped_models

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from caloforge.geometry import Geometry

    Change = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, siw: Geometry) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    small = {"points": {"hidden": [8]}, "shower_flow": {"blocks": 1, "hidden": [8], "spline_hidden": [8]}}
    config = model_class("caloclouds-2").config_class.model_validate(small)
    model = build_model("caloclouds-2", config, siw)
    trained = SavedRange(energy=(1e4, 1e5), theta=0.01, particles=(22,))
    write_model(folder, model, trained, {"stages": {"shower_flow": {"seconds": 2.0}}})
    return folder


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    return shutil.copytree(saved, tmp_path / "model")


def change_json(path: Path, change: Change) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps(change(content) or content))


def fails(folder: Path, message: str) -> None:
    with pytest.raises(FormatError, match=message) as caught:
        read_model(folder)
    assert len(str(caught.value).replace(str(folder), "")) < 300
    assert "\n" not in str(caught.value)


CONFIGS: list[tuple[Change, str]] = [
    (lambda _: [1], "got .1., expected a section with keys"),
    (
        lambda d: d["trained"].update(energy=[2e4, 1e4]),
        "energy: got .*, expected the lowest energy first",
    ),
    (lambda d: d["trained"].update(energy=[1, 2, 3]), "trained.energy.*2 entries at most"),
    (lambda d: d["trained"].update(energy=["a", "b"]), "energy.0: got 'a', expected a number"),
    (lambda d: d["trained"].update(energy=[float("nan"), 1e4]), "energy.0: got nan, expected a finite"),
    (lambda d: d["trained"].update(energy=[-1, 1e4]), "energy.0: got -1, expected more than 0"),
    (lambda d: d["trained"].update(theta=None), "trained.theta: got None, expected a number"),
    (lambda d: d["trained"].update(theta="x"), "trained.theta: got 'x', expected a number"),
    (lambda d: d["trained"].update(theta=3.0), "trained.theta: got 3.0, expected at most 1.57"),
    (lambda d: d["trained"].update(particles=["x"]), "trained.particles.0: got 'x', expected a whole number"),
    (lambda d: d["trained"].update(particles=[10**12]), "particles.0: got 1000000000000, expected at most"),
    (lambda d: d["trained"].update(particles=[True]), "got particles: .True"),
    (lambda d: d["trained"].update(particles=[]), "particles: got .., expected 1 entries or more"),
    (lambda d: d["trained"].update(pdg=d["trained"].pop("particles")), "trained.particles.0: got .22., "),
    (lambda d: d["trained"].update(pdg=22), "unknown key 'trained.pdg'"),
    (lambda d: d.update(model_name="nosuch"), "Unknown model 'nosuch'"),
    (lambda d: d.update(model_name=5), "model_name: got 5, expected a text"),
    (lambda d: d.update(model_name="pyramid"), "unknown key"),
    (lambda d: d.update(model=[]), "model: got .., expected a section"),
    (lambda d: d.pop("geometry") and None, "geometry: got nothing, expected a value"),
    (lambda d: d["geometry"]["layers"].pop() and None, "got weights of the geometry d60f74678b6d9329"),
    (lambda d: d["geometry"]["layers"][0]["slabs"][0].update(thickness=9), "got weights of the geometry"),
    (lambda d: d["geometry"].update(threshold=0.2), "got weights of the geometry"),
    (lambda d: d["geometry"].update(threshold=-1), "threshold of the geometry .*: got -1"),
    (lambda d: d["model"]["points"].update(hidden=[16]), "expected 16 x .*, as its config.json says"),
    (lambda d: d["model"]["points"].update(hidden=[10**6] * 2), "expected at most 16384"),
    (lambda d: d["model"]["points"].update(hidden=[16384] * 9), "more than 200,000,000 numbers"),
    (lambda d: d["model"].update(colour="red"), "unknown key 'colour'"),
]


@pytest.mark.parametrize(("change", "message"), CONFIGS)
def test_damaged_configurations(copy: Path, change: Change, message: str) -> None:
    change_json(copy / "config.json", change)
    fails(copy, message)


@pytest.mark.parametrize("name", ["config.json", "card.json"])
@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff\xfe\x00", b"", b"null", b'{"a": 1, "a": 2}'])
def test_damaged_texts(copy: Path, name: str, content: bytes) -> None:
    (copy / name).write_bytes(content)
    fails(copy, name)


def first(tensors: dict[str, torch.Tensor]) -> str:
    """A matrix that is not square."""
    shapes = {n: t.shape for n, t in sorted(tensors.items()) if t.dtype == torch.float32}
    return next(n for n, shape in shapes.items() if len(shape) == 2 and shape[0] != shape[1])


def poked(tensors: dict[str, torch.Tensor], value: float) -> None:
    tensors[first(tensors)][0, 0] = value


WEIGHTS: list[tuple[Change, str]] = [
    (lambda t: poked(t, float("nan")), "got NaN or infinity, expected finite weights"),
    (lambda t: poked(t, float("inf")), "got NaN or infinity, expected finite weights"),
    (lambda t: t.pop(first(t)) is None, "lacks the tensor"),
    (lambda t: t.update(extra=torch.zeros(3)), "has an unknown tensor 'extra'"),
    (lambda t: t.update({first(t): t[first(t)].T.contiguous()}), "as its config.json says"),
    (lambda t: t.update({first(t): t[first(t)].to(torch.int8)}), "got int8, expected float32"),
    (lambda t: t.update({first(t): t[first(t)].double()}), "got float64, expected float32"),
]


@pytest.mark.parametrize(("change", "message"), WEIGHTS)
def test_damaged_weights(copy: Path, change: Change, message: str) -> None:
    tensors = load_file(copy / "model.safetensors")
    change(tensors)
    save_file(tensors, copy / "model.safetensors")
    fails(copy, message)


@pytest.mark.parametrize("content", [b"", (10**15).to_bytes(8, "little") + b"{}", b"\x80\x04}q\x00."])
def test_files_that_are_no_weights(copy: Path, content: bytes) -> None:
    (copy / "model.safetensors").write_bytes(content)
    fails(copy, "is damaged")


def test_a_folder_for_a_file(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    (copy / "model.safetensors").mkdir()
    fails(copy, "lacks model.safetensors")


def test_older_files_have_one_particle_and_angles_by_themselves(copy: Path) -> None:
    def older(content: dict[str, Any]) -> None:
        content["trained"]["pdg"] = content["trained"].pop("particles")[0]
        content["model"]["angles"] = content["model"].pop("conditions")["angles"]

    change_json(copy / "config.json", older)
    assert "conditions" not in json.loads((copy / "config.json").read_text())["model"]
    found = read_model(copy)
    assert found.trained.particles == (22,)
    assert not found.model.config.conditions.angles
    change_json(copy / "config.json", lambda d: d["model"].update(angles=True))
    fails(copy, "as its config.json says")  # the weights are those without angles


def test_shipped_models_of_before_are_read() -> None:
    config = json.loads((model_folder("caloclouds-2:siw-ecal") / "config.json").read_text())
    assert (config["trained"]["pdg"], config["model"]["angles"]) == (22, False)
    assert load_simulator("caloclouds-2:siw-ecal").trained.particles == (22,)


def test_older_weights_take_the_fingerprint_of_the_card(copy: Path) -> None:
    save_file(load_file(copy / "model.safetensors"), copy / "model.safetensors")
    assert read_model(copy).trained.particles == (22,)
    change_json(copy / "card.json", lambda c: c.update(geometry_fingerprint="0123456789abcdef"))
    fails(copy, "got weights of the geometry 0123456789abcdef")


def test_shipped_weights_carry_the_fingerprint() -> None:
    for name in shipped_models():
        with safe_open(model_folder(name) / "model.safetensors", framework="pt") as file:
            stored = file.metadata()["geometry_fingerprint"]
        assert stored == load_simulator(name).geometry.fingerprint


def test_weights_beyond_16_bits_are_kept_whole(tmp_path: Path, saved: Path) -> None:
    model, trained = read_model(saved).model, SavedRange(energy=(1, 2), theta=0, particles=(-211,))
    name = next(n for n, p in model.named_parameters() if p.numel() > 64)
    with torch.no_grad():
        dict(model.named_parameters())[name].flatten()[0] = 1e6
    write_model(tmp_path / "m", model, trained, {}, half=True)
    back = read_model(tmp_path / "m")
    assert dict(back.model.named_parameters())[name].flatten()[0] == 1e6
    assert back.trained == trained


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ([1], "got .1., expected a section"),
        ({"stages": [1]}, "stages in"),
        ({"stages": {"a": "x"}}, "stages.a in"),
        ({"stages": {"a": {"seconds": "x"}}}, "stages.a.seconds in .*: got 'x', expected a number"),
        ({"benchmark": "x"}, "benchmark in"),
        ({"benchmark": {"configurations": [{"threads": 1}]}}, "cpu_ms in .*: got nothing, expected a value"),
        ({"limits": 5}, "limits in .*: got 5, expected a list"),
        ({"evaluation": []}, "evaluation in"),
        ({"data": {"showers": "x", "files": []}}, "data.showers in"),
    ],
)
def test_cards_have_types(content: Any, place: str) -> None:
    with pytest.raises(FormatError, match=place):
        check_card(content, source="card.json")


def test_cards_may_tell_more() -> None:
    card = {"colour": "red", "stages": {"a": {"seconds": 1, "loss": float("nan")}}}
    assert check_card(card, source="card.json") == card
