from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner

import caloforge
from caloforge.cli.app import COMMANDS, app
from caloforge.cli.failures import CommandGroup
from caloforge.cli.helptext import help_text
from caloforge.cli.logs import configure_logging
from caloforge.errors import DataError
from command_line import run

ROOT = Path(__file__).parents[2]


def failing(error: BaseException) -> typer.Typer:
    """An application whose command ``stops`` raises ``error``."""
    example = typer.Typer(cls=CommandGroup)

    @example.callback()
    def options(*, verbose: bool = False) -> None:
        configure_logging(verbose=verbose)

    @example.command()
    def stops() -> None:
        raise error

    return example


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (DataError("The energy is negative."), "caloforge: error: The energy is negative."),
        (
            OSError("Unable to synchronously open file (truncated file: eof = 96)"),
            "caloforge: error: A HDF5 file is truncated or damaged: make or fetch it again",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), "caloforge: error: The disk is full"),
        (FileNotFoundError(2, "No such file or directory", "a.h5"), "caloforge: error: a.h5: No such file"),
    ],
)
def test_bad_input_is_one_line_and_code_2(error: Exception, line: str) -> None:
    result = CliRunner().invoke(failing(error), ["stops"])
    assert result.exit_code == 2
    assert result.stderr.startswith(line)
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_verbose_shows_the_traceback() -> None:
    result = CliRunner().invoke(failing(DataError("The energy is negative.")), ["--verbose", "stops"])
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1] == "caloforge: error: The energy is negative."


@pytest.mark.parametrize(
    ("stop", "line"),
    [
        (KeyboardInterrupt(), "caloforge: interrupted\n"),
        (KeyboardInterrupt("3 of 9 are kept"), "caloforge: interrupted; 3 of 9 are kept\n"),
    ],
)
def test_interruption(stop: KeyboardInterrupt, line: str) -> None:
    result = CliRunner().invoke(failing(stop), ["stops"])
    assert result.exit_code == 130
    assert result.stderr == line


def test_defects_keep_their_traceback() -> None:
    result = CliRunner().invoke(failing(ZeroDivisionError("a defect")), ["stops"])
    assert result.exit_code == 1
    assert isinstance(result.exception, ZeroDivisionError)


def test_version_and_citation() -> None:
    assert run("--version").stdout == f"caloforge {caloforge.__version__}\n"
    bibtex = run("--cite").stdout
    assert bibtex.startswith("@software{caloforge,")
    assert f"version = {{{caloforge.__version__}}}" in bibtex
    assert bibtex.count("{") == bibtex.count("}")


def test_citation_file_has_the_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == caloforge.__version__


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.name)
def test_every_command_has_help_with_an_example(command: object) -> None:
    name = command.name  # type: ignore[attr-defined]
    result = run(name, "--help", env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert f"caloforge {name}" in result.stdout.split("Usage:")[1].split("\n", 1)[1]


@pytest.mark.parametrize("mark", ["\b", r"\b"])
def test_prose_is_wrapped_and_examples_keep_their_lines(mark: str) -> None:
    docstring = f"""First line.

    One sentence [mm] that
    goes on.

    {mark}
    caloforge one
    caloforge two
    """
    assert help_text(docstring) == (
        "First line.\n\nOne sentence \\[mm] that goes on.\n\n"
        "[bold]Examples[/bold]\n\ncaloforge one\ncaloforge two"
    )


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.name)
def test_no_word_of_the_help_is_taken_for_markup(command: object) -> None:
    """[mm] would vanish."""
    options = typer.main.get_command(app).commands[command.name].params  # type: ignore[attr-defined]
    assert [o.name for o in options if "[" in (getattr(o, "help", None) or "").replace("\\[", "")] == []


def test_unknown_command_and_no_command() -> None:
    assert run("simulatte").exit_code == 2
    listing = run()
    for command in COMMANDS:
        assert command.name in listing.output


HELP = """
import sys, time
sys.argv = ["caloforge", *sys.argv[1:]]
from caloforge.cli import main
try:
    main()
except SystemExit as end:
    heavy = {"torch", "numpy", "h5py", "scipy", "matplotlib", "pydantic"} & set(sys.modules)
    print(f"END {end.code} {time.process_time()} {sorted(heavy)}", file=sys.stderr)
"""


def test_help_is_quick_and_light() -> None:
    ends = []
    for _ in range(3):
        command = [sys.executable, "-c", HELP, "--help"]
        shown = subprocess.run(command, capture_output=True, text=True, check=True)
        assert "Usage: caloforge" in shown.stdout
        ends.append(shown.stderr.split(maxsplit=3))
    assert {(code, heavy) for _, code, _, heavy in ends} == {("0", "[]\n")}
    # processor time: other programs on the machine do not count
    assert min(float(seconds) for _, _, seconds, _ in ends) < 0.5


def test_importing_caloforge_is_light() -> None:
    code = "import sys, caloforge; print(sorted({'torch', 'numpy', 'h5py'} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"


def test_python_m() -> None:
    command = [sys.executable, "-m", "caloforge", "--version"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.startswith("caloforge ")
