from __future__ import annotations

import io
import logging
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caloforge.cli import common, main
from caloforge.cli.common import (
    Range,
    angle_range,
    energy_range,
    parse_range,
    print_table,
    progress,
)
from caloforge.cli.logs import configure_logging
from caloforge.cli.offsets import parse_offset
from caloforge.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def plain_log() -> Iterator[None]:
    logger = logging.getLogger("caloforge")
    before, level = list(logger.handlers), logger.level
    configure_logging()
    yield
    logger.handlers[:] = before
    logger.setLevel(level)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10:100", Range(10.0, 100.0)),
        ("50", Range(50.0, 50.0)),
        (" 0.5 : 1e3 ", Range(0.5, 1000.0)),
        ("0:60", Range(0.0, 60.0)),
        ("7:7", Range(7.0, 7.0)),
    ],
)
def test_ranges(text: str, expected: Range) -> None:
    assert parse_range(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a:b", r"--energy: got 'a:b', expected a number \(50\) or a range \(10:100\)"),
        ("", "a number"),
        ("1:2:3", "a number"),
        ("10:", "a number"),
        ("10-100", "a number"),
        ("100:10", "the lower end first; write 10:100"),
        ("nan", "finite numbers from zero upwards"),
        ("1:nan", "finite"),
        ("1:inf", "finite"),
        ("-5", "from zero upwards"),
        ("-5:5", "from zero upwards"),
    ],
)
def test_bad_ranges(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_range(text, what="--energy")


def test_log_range_starts_above_zero() -> None:
    assert parse_range("0.1:10", log=True).log
    with pytest.raises(ConfigError, match="above zero; start above zero or leave --log out"):
        parse_range("0:10", log=True)


def test_energies_become_mev() -> None:
    assert energy_range("10:100") == Range(10_000.0, 100_000.0)
    assert energy_range("1:1000", log=True) == Range(1e3, 1e6, log=True)
    with pytest.raises(ConfigError, match=r"--energy \[GeV\]: got '0', expected energies above zero"):
        energy_range("0")


def test_angles_become_rad() -> None:
    assert angle_range("0:60").high == pytest.approx(math.pi / 3)
    assert angle_range("0:360", limit=361.0).high == pytest.approx(2 * math.pi)
    with pytest.raises(ConfigError, match=r"--theta \[degrees\]: got '0:90', expected angles below 90"):
        angle_range("0:90")


def test_offsets() -> None:
    assert parse_offset("2.5,-1") == (2.5, -1.0)


@pytest.mark.parametrize("text", ["", "1", "1,2,3", "a,b", "nan,0", "0,inf"])
def test_bad_offsets(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--offset: got .*, expected two numbers in mm such as"):
        parse_offset(text)


@given(st.floats(1e-3, 1e6), st.floats(1.0, 1e3), st.booleans())
def test_samples_fill_the_range(low: float, factor: float, log: bool) -> None:
    interval = Range(low, low * factor, log)
    values = interval.sample(np.linspace(0, 1, 11))
    assert values[0] == pytest.approx(interval.low)
    assert values[-1] == pytest.approx(interval.high)
    assert np.all(np.diff(values) >= 0)
    middle = math.sqrt(interval.low * interval.high) if log else (interval.low + interval.high) / 2
    assert interval.sample(0.5) == pytest.approx(middle)


def test_a_point_samples_itself() -> None:
    np.testing.assert_array_equal(Range(50.0, 50.0).sample(np.array([0.0, 0.3, 0.9])), 50.0)
    np.testing.assert_array_equal(Range(50.0, 50.0, log=True).sample(np.array([0.3])), 50.0)


@pytest.mark.parametrize("text", ["50", "10:100", "0.5:2"])
def test_ranges_print_as_typed(text: str) -> None:
    assert str(parse_range(text)) == text


@pytest.mark.usefixtures("plain_log")
def test_piped_progress_is_plain_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 4.0, 16.0, 20.0])
    monkeypatch.setattr(common.time, "monotonic", lambda: next(clock))
    with progress("simulating", 1000, done=200) as advance:
        advance(200)
        advance(400)
    lines = [line.split(" ", 1)[1] for line in capsys.readouterr().err.splitlines()]
    assert lines == [
        "simulating: 800 of 1000 showers, 38 showers/s, 5.3 s left",
        "simulating: 800 of 1000 showers, 30 showers/s, took 20.0 s",
    ]


@pytest.mark.usefixtures("plain_log")
def test_progress_says_nothing_of_an_end_that_was_not_reached(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        with progress("training", 10, unit="steps") as advance:
            advance()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert capsys.readouterr().err == ""


def test_progress_on_a_terminal_is_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("FORCE_COLOR", "1")
    common.error_console.cache_clear()
    with progress("simulating", 50) as advance:
        advance(20)
        advance(30)
    common.error_console.cache_clear()
    shown = capsys.readouterr().err
    assert "simulating" in shown
    assert "50/50" in shown
    assert "showers/s" in shown


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(5.25, "5.2 s"), (61.0, "1:01 min"), (3599.9, "1:00:00 h"), (7325.0, "2:02:05 h")],
)
def test_durations(seconds: float, expected: str) -> None:
    assert common._duration(seconds) == expected


def test_piped_tables_are_aligned_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["model", "cells"], [["a[b]", 1], ["longer", 100]], title="Models")
    assert capsys.readouterr().out == "Models\nmodel   cells\na[b]    1\nlonger  100\n"
    print_table(["model"], [])
    assert capsys.readouterr().out == "model\n"


def test_tables_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    print_table(["model"], [["a[b]"]])
    assert "a[b]" in capsys.readouterr().out


def test_what_a_console_has_no_letter_for_is_a_question_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(shown, encoding="koi8-r"))
    monkeypatch.setattr("sys.argv", ["caloforge", "--version"])
    monkeypatch.setattr("caloforge.cli.app.__version__", "1 ± 2")
    monkeypatch.setattr("caloforge.cli.catch_signals", lambda: None)
    monkeypatch.setattr("caloforge.cli.ignore_signals", lambda: None)
    with pytest.raises(SystemExit):
        main()
    assert shown.getvalue() == b"caloforge 1 ? 2\n"
