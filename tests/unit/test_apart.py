"""Processes that train a stage each: their order, what they tell, and how they end."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import torch

from caloforge.errors import CaloForgeError, DataError
from caloforge.training.apart import run_apart, run_on_cluster

if TYPE_CHECKING:
    from pathlib import Path


def note(folder: Path, name: str, on_progress: Any) -> None:
    """Say when a stage begins and ends, and with how many threads."""
    (folder / f"{name}.begin").write_text(str(torch.get_num_threads()))
    on_progress(name, 1, 1, 0.5)
    time.sleep(0.5)
    (folder / f"{name}.end").touch()


def fail(folder: Path, name: str, on_progress: Any) -> None:
    """Fail in one of several ways; ``patient`` waits to be stopped."""
    del on_progress
    if name == "patient":
        (folder / "ready").touch()
        try:
            time.sleep(60)
        finally:
            (folder / "stopped").touch()
    if name == "wrong":
        while not (folder / "ready").exists():
            time.sleep(0.05)
        raise DataError("The showers are wrong.")
    if name == "bug":
        raise ZeroDivisionError("by zero")
    os.kill(os.getpid(), signal.SIGKILL)


def test_stages_begin_when_those_that_they_need_are_done(tmp_path: Path) -> None:
    heard = []
    needs = {"a": (), "b": (), "c": ("a", "b")}
    run_apart(needs, partial(note, tmp_path), processes=2, on_progress=lambda *told: heard.append(told))
    assert sorted(heard) == [(name, 1, 1, 0.5) for name in "abc"]
    time_of = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert max(time_of["a.end"], time_of["b.end"]) < time_of["c.begin"] < time_of["c.end"]
    assert (tmp_path / "c.begin").read_text() == str(torch.get_num_threads())


def work_there(folder: Path) -> Any:
    """As ``note``, through an executor."""
    return lambda name: note(folder, name, lambda *_: None) if name != "wrong" else fail_there()


def fail_there() -> None:
    raise DataError("The showers are wrong.")


def test_an_executor_gets_stages_when_those_that_they_need_are_done(tmp_path: Path) -> None:
    done: list[str] = []
    needs = {"a": (), "b": (), "c": ("a", "b")}
    with ThreadPoolExecutor(2) as executor:
        run_on_cluster(needs, partial(work_there, tmp_path), executor=executor, on_done=done.append)
        assert (sorted(done), done[2]) == (["a", "b", "c"], "c")
        time_of = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
        assert max(time_of["a.end"], time_of["b.end"]) < time_of["c.begin"]
        with pytest.raises(DataError, match=r"^The showers are wrong\.$"):
            run_on_cluster({"wrong": (), "d": ("wrong",)}, partial(work_there, tmp_path), executor=executor)
    assert not (tmp_path / "d.begin").exists()


def test_the_failure_of_one_stops_the_others(tmp_path: Path) -> None:
    needs = {"patient": (), "wrong": (), "never": ("wrong",)}
    with pytest.raises(DataError, match=r"^The showers are wrong\.$"):
        run_apart(needs, partial(fail, tmp_path), processes=2, on_progress=None)
    assert (tmp_path / "stopped").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bug", r"^The stage bug failed with ZeroDivisionError: by zero\.$"),
        ("dead", r"^The process that trained the stage dead died \(killed by SIGKILL\): run the same"),
    ],
)
def test_what_goes_wrong_is_one_sentence(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(CaloForgeError, match=message):
        run_apart({name: ()}, partial(fail, tmp_path), processes=2, on_progress=None)
