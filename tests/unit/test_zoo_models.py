"""Zoos are published, the package's is right, and commands work with what was downloaded."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from caloforge.beam import Beam
from caloforge.errors import ConfigError, OutputError
from caloforge.formats import NativeReader
from caloforge.generation import Generation, generate, production_of
from caloforge.integration import FastSettings
from caloforge.integration.worker import FastWorker
from caloforge.places import cache_folder, data_folder
from caloforge.trained.card import CARD
from caloforge.trained.configuration import WEIGHTS
from caloforge.zoo import load_simulator, model_folder, shipped, shipped_models, weights_of
from caloforge.zoo.index import INDEX, MODEL_FILES, Index, index_in, sum_of, sums_of
from caloforge.zoo.publish import Publication, Terms, next_version, package_entries, publish_models
from caloforge.zoo.shipped import zoo_home
from caloforge.zoo.titles import Version, parse_title
from command_line import done, refused, run
from support.zoo_here import NAME, fetch, small_model

PHOTONS = Beam(energy=(20e3, 80e3))


@pytest.mark.parametrize("name", shipped_models())
def test_the_packages_index_has_its_files(name: str) -> None:
    """``python benchmarks/ship.py index`` writes it anew."""
    (entry,) = (entry for entry in index_in(zoo_home()).models if entry.name == name)
    assert entry.sums == sums_of(model_folder(name))
    for file in entry.files:
        path = zoo_home() / file.path
        assert (path.parent, path.name, path.stat().st_size) == (model_folder(name), file.name, file.size)


def test_the_packages_index_is_as_it_would_be_written() -> None:
    written = (zoo_home() / INDEX).read_text(encoding="utf-8")
    assert package_entries(zoo_home(), Terms("Apache-2.0")).text() == written
    assert {entry.licence for entry in index_in(zoo_home()).models} == {"Apache-2.0"}


def test_a_zoo_has_all_versions_side_by_side(zoo: Path) -> None:
    index = index_in(zoo)
    assert [e.version for e in index.models] == ["1.0", "1.1", "2.0", "3.0"]
    paths = {file.path for entry in index.models for file in entry.files}
    assert {path.name for path in zoo.iterdir()} == {*paths, INDEX}
    for entry in index.models:
        assert all(sum_of(zoo / f.path) == f.sha256 and f.sha256[:16] in f.path for f in entry.files)
    assert len(paths) == 1 + 2 + 3  # configurations, cards and weights
    first, second, third, _ = index.models
    assert first.sums[WEIGHTS] == second.sums[WEIGHTS] != third.sums[WEIGHTS]
    assert first.sums[CARD] != second.sums[CARD]
    told = first.summary
    assert (told.geometry, told.particles, told.theta < 0.01) == ("siw-ecal", (22,), True)
    assert told.energy == pytest.approx((10006.1, 99971.8), abs=0.1)
    assert (told.trained_on, told.showers, told.parameters) == (("photons.h5",), 10, 168_478)
    assert (first.licence, first.caloforge) == ("CC-BY-4.0", "0.1.0")


def test_versions_count_other_showers_and_other_cards() -> None:
    entry = index_in(zoo_home()).models[0]
    index = Index(models=(entry.model_copy(update={"version": "3.4"}),))
    assert next_version(index, "new:model", entry.sums) == Version(1, 0)
    assert next_version(index, entry.name, entry.sums) == Version(3, 4)
    assert next_version(index, entry.name, entry.sums | {"card.json": "0"}) == Version(3, 5)
    assert next_version(index, entry.name, entry.sums | {"config.json": "0"}) == Version(4, 0)


def test_publishing_again_changes_nothing_and_a_version_never(zoo: Path, tmp_path: Path) -> None:
    other = shutil.copytree(zoo, tmp_path / "zoo")
    same = small_model(tmp_path / "same", seed=3)
    before = {path.name: path.read_bytes() for path in other.iterdir()}
    publish_models(other, [Publication(parse_title(NAME), same)])
    assert {path.name: path.read_bytes() for path in other.iterdir()} == before
    with pytest.raises(
        ConfigError, match=r"has another .*toy@1\.0, and versions never change: give none, or 3\.0"
    ):
        publish_models(other, [Publication(parse_title(f"{NAME}@1.0"), same)])
    with pytest.raises(ConfigError, match="is a model caloclouds-2-cm: its name must be caloclouds-2-cm:TAG"):
        publish_models(other, [Publication(parse_title("pyramid:toy"), same)])
    assert {path.name: path.read_bytes() for path in other.iterdir()} == before
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(OutputError, match="Cannot create the folder"):
        publish_models(file / "zoo", [Publication(parse_title(NAME), same)])


def test_the_commands(zoo: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = hashlib.sha256((zoo / INDEX).read_bytes()).hexdigest()
    assert "No zoo of models is set" in refused("models", "--download", NAME)
    offered = done("models", "--from", zoo).splitlines()
    assert [line.split()[2] for line in offered if line.startswith(NAME)] == ["to", "to", "to", "needs"]
    shown = done("models", "--download", NAME, f"{NAME}@1.0", "--from", f"{zoo}#sha256={digest}")
    assert [line.split(":")[1] for line in shown.splitlines()] == ["toy@2.0", "toy@1.0"]
    assert str(model_folder(NAME)) in shown
    assert "is there" in done("models", "--download", "all", "--from", zoo)
    assert NAME in done("models", "--names").splitlines()
    card = done("models", NAME)
    assert "photons.h5" in card
    assert card.splitlines()[-1] == f"{NAME}@2.0 in {model_folder(NAME)} (cache), licence: CC-BY-4.0"
    assert json.loads(done("models", f"{NAME}@1.0", "--json"))["name"] == NAME
    monkeypatch.setenv("CALOFORGE_ZOO", str(zoo))
    listed = {(m["name"], m["version"]): m for m in json.loads(done("models", "--json"))}
    assert [listed[NAME, v]["where"] for v in ("1.0", "1.1", "2.0")] == ["cache", "to download", "cache"]
    assert listed[NAME, "2.0"]["summary"]["showers"] == 10
    assert listed["mosaic:siw-ecal", "1.0"]["where"] == "package"
    assert done("models", "--remove", NAME).splitlines() == [f"{NAME}@1.0: removed", f"{NAME}@2.0: removed"]
    assert "did you mean" in refused("models", "caloclouds-2-cm:sw-ecal")
    assert "is not in the cache" in refused("models", "--remove", NAME)
    assert "different things" in refused("models", "--remove", "--download", NAME)
    assert "give it with --download" in refused("models", NAME, "--from", zoo)
    assert "are of models to publish" in refused("models", "--download", NAME, "--licence", "x")
    assert "one model is shown at a time" in refused("models", "pyramid", "mosaic")
    for option in ("--download", "--remove"):
        assert "got no model" in refused("models", option)


def test_a_zoo_that_is_away_does_not_hinder_the_list(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALOFORGE_ZOO", "http://127.0.0.1:9")
    shown = run("models")
    assert (shown.exit_code, "cannot be reached" in shown.stderr, "mosaic:siw-ecal" in shown.stdout) == (
        0,
        True,
        True,
    )
    assert "cannot be reached" in refused("models", "--from", "http://127.0.0.1:9")


def test_models_are_verified(zoo: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (there,) = fetch(NAME, zoo)
    assert done("models", "--verify").count("as the index says") == len(shipped_models()) + 1
    (there.folder / "card.json").write_text("{}")
    result = run("models", "--verify", NAME, "mosaic:siw-ecal")
    assert result.exit_code == 2
    assert "not what the index says: card.json" in result.stdout
    assert (
        "1 of 2 models are damaged, such as caloclouds-2-cm:toy@2.0: remove and download it again"
        in result.stderr
    )
    (there.folder / "entry.json").write_text("{")
    assert "is not valid JSON" in run("models", "--verify", NAME).stdout
    assert "damaged: see --verify" in done("models")
    assert "no model nosuch:x" in refused("models", "--verify", "nosuch:x")
    home = tmp_path / "home"
    shutil.copytree(zoo_home() / "models" / "mosaic", home / "models" / "mosaic")
    shutil.copy(zoo_home() / INDEX, home)
    (home / "models" / "mosaic" / "siw-ecal" / "config.json").write_text("{}")
    monkeypatch.setattr(shipped, "_HOME", home)
    assert "mosaic:siw-ecal@1.0: install caloforge again" in refused("models", "--verify", "mosaic:siw-ecal")


def test_publishing_by_command(tmp_path: Path, cache: Path) -> None:
    made = small_model(tmp_path / "run" / "model")
    zoo = tmp_path / "site"
    given = (
        f"{NAME}={made.parent}",
        "caloclouds-2-cm:siw-ecal",
        "--licence",
        "CC0-1.0",
        "--mirror",
        "https://b.example/zoo/",
    )
    lines = done("models", "--publish", zoo, *given).splitlines()
    index = index_in(zoo)
    assert [(str(e.title), e.licence) for e in index.models] == [
        ("caloclouds-2-cm:siw-ecal@1.0", "Apache-2.0"),
        (f"{NAME}@1.0", "CC0-1.0"),
    ]
    assert index.mirrors == ("https://b.example/zoo",)
    assert index.models[0].sums == sums_of(model_folder("caloclouds-2-cm:siw-ecal"))
    command = lines[-1].split()
    assert done(*command[1:]).startswith(f"{NAME}@1.0: ")
    assert "expected MODEL:TAG=FOLDER" in refused("models", "--publish", zoo, "nosuch")
    assert "expected a folder of a run" in refused("models", "--publish", zoo, f"{NAME}={tmp_path / 'x'}")
    assert "got no model" in refused("models", "--publish", zoo)


def test_a_new_evaluation_is_a_minor_version(tmp_path: Path) -> None:
    run_, zoo, judged = small_model(tmp_path / "run"), tmp_path / "zoo", tmp_path / "judged"
    known = json.loads((model_folder("caloclouds-2-cm:siw-ecal") / CARD).read_text())["evaluation"]
    settings = {**known["settings"], "generated": {"mine": {"path": "/secret/mine.h5", "showers": 10}}}
    judged.mkdir()
    done("models", "--publish", zoo, f"{NAME}={run_}")
    told = {"settings": settings, "models": {"mine": known["metrics"], "other": []}}
    (judged / "metrics.json").write_text(json.dumps(told))
    given = ("models", "--publish", zoo, f"{NAME}={run_}", "--judged", judged)
    assert f"has no model '{NAME}': choose one of mine, other" in refused(*given)
    told["models"].pop("other")
    (judged / "metrics.json").write_text(json.dumps(told))
    assert f"{NAME}@1.1" in done(*given)
    first, second = index_in(zoo).models
    assert first.sums[WEIGHTS] == second.sums[WEIGHTS]
    texture = next(m["value"] for m in known["metrics"] if m["name"] == "auc.texture")
    assert (first.summary.auc, second.summary.auc["texture"]) == ({}, round(texture, 4))
    card = next(zoo / file.path for file in second.files if file.name == CARD)
    assert "secret" not in card.read_text()
    (judged / "metrics.json").write_text('{"settings": 1}')
    assert "not what `caloforge evaluate` writes" in refused(*given)


def test_showers_tell_the_version_that_made_them(zoo: Path, cache: Path, tmp_path: Path) -> None:
    fetch(f"{NAME}@1.0", zoo)
    out = tmp_path / "a.h5"
    generate(Generation(NAME, PHOTONS, seed=1), out=out, count=3)
    with NativeReader(out) as reader:
        told = reader.provenance["generated"]
    assert (told["model"], told["weights"]) == (f"{NAME}@1.0", weights_of(f"{NAME}@1.0"))
    fetch(NAME, zoo)
    with pytest.raises(
        OutputError, match=r"another request \(model '.*toy@1\.0' there and '.*toy@2\.0' here"
    ):
        generate(Generation(NAME, PHOTONS, seed=1), out=out, count=5, append=True)
    generate(Generation(f"{NAME}@1.0", PHOTONS, seed=1), out=out, count=5, append=True)


def test_a_plan_stays_with_its_version(zoo: Path, cache: Path, tmp_path: Path) -> None:
    fetch(f"{NAME}@1.0", zoo)
    out = tmp_path / "a.h5"
    done("plan", "generate", NAME, "--energy", "50", "--count", "3", "--out", out)
    plan = json.loads((tmp_path / "a.h5.parts" / "plan.json").read_text())
    assert f"{NAME}@1.0" in plan["command"]
    fetch(NAME, zoo)
    done("make-block", "0", "--plan", tmp_path / "a.h5.parts")
    done("join", tmp_path / "a.h5.parts")
    with NativeReader(out) as reader:
        assert reader.provenance["generated"]["model"] == f"{NAME}@1.0"


def test_a_worker_with_another_model_of_the_name_stops(zoo: Path, cache: Path) -> None:
    (there,) = fetch(NAME, zoo)
    production = production_of(Generation(NAME, PHOTONS, seed=1), 3)
    production.worker()
    for file in MODEL_FILES:
        shutil.copy(small_model(cache / "other", seed=7) / file, there.folder / file)
    with pytest.raises(
        ConfigError, match=r"weights of .*toy@2\.0: got \w{16}, expected \w{16}; have the same files"
    ):
        production.worker()
    with pytest.raises(ConfigError, match=r"weights of mosaic:siw-ecal: got"):
        FastWorker(None, FastSettings("mosaic:siw-ecal"), "0" * 16)()  # type: ignore[arg-type]


def test_a_download_that_takes_the_place_of_a_model_of_the_package_is_told(
    zoo: Path, cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name = "caloclouds-2-cm:siw-ecal"
    publish_models(tmp_path / "zoo", [Publication(parse_title(f"{name}@1.5"), small_model(tmp_path / "m"))])
    before = weights_of(name)
    fetch(name, tmp_path / "zoo")
    with caplog.at_level("INFO", logger="caloforge"):
        assert weights_of(name) != before
    assert f"{name} is version 1.5, which was downloaded" in caplog.text
    assert weights_of(f"{name}@1.0") == before
    old = production_of(Generation(f"{name}@1.0", PHOTONS, seed=1), 3)
    assert (old.request["model"], old.request["weights"]) == (name, before)
    old.worker()  # the same one, though the name alone is another now
    assert load_simulator(f"{name}@1.5").card["name"] == name


def test_times_are_not_recorded_in_downloads(zoo: Path, cache: Path, tmp_path: Path) -> None:
    fetch(NAME, zoo)
    told = refused("benchmark", NAME, "--record", "--out", tmp_path / "speed.json")
    assert "its card is its zoo's: leave --record out" in told


def test_the_folders_of_systems() -> None:
    home = {"HOME": "/home/me"}
    assert cache_folder(home, platform="linux") == Path("/home/me/.cache/caloforge")
    assert cache_folder({**home, "XDG_CACHE_HOME": "/c"}, platform="linux") == Path("/c/caloforge")
    assert cache_folder({**home, "XDG_CACHE_HOME": "c"}, platform="linux") == Path(
        "/home/me/.cache/caloforge"
    )
    assert cache_folder(home, platform="darwin") == Path("/home/me/Library/Caches/caloforge")
    assert data_folder(home, platform="darwin") == Path("/home/me/Library/Application Support/caloforge")
    assert data_folder(home, platform="linux") == Path("/home/me/.local/share/caloforge")
    windows = {"USERPROFILE": "C:/Users/me"}
    assert cache_folder(windows, platform="win32") == Path("C:/Users/me/AppData/Local/caloforge/Cache")
    assert data_folder({**windows, "LOCALAPPDATA": "D:/l"}, platform="win32") == Path("D:/l/caloforge")
    for platform in ("linux", "darwin", "win32"):
        given = {**home, **windows, "CALOFORGE_CACHE": "/scratch/me"}
        assert cache_folder(given, platform=platform) == Path("/scratch/me")


def test_without_a_home_the_packages_models_are_found(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CALOFORGE_CACHE", "XDG_CACHE_HOME", "HOME", "USERPROFILE"):
        monkeypatch.delenv(name, raising=False)

    def nowhere() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", nowhere)
    assert model_folder("mosaic:siw-ecal").is_dir()
    told = refused("models", "--download", NAME, "--from", zoo)
    assert "The home folder is not known: set HOME, or CALOFORGE_CACHE to a folder" in told
