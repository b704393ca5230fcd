"""The application ``caloforge``: its commands and the options before them."""

from __future__ import annotations

import importlib
import inspect
from typing import Annotated, NamedTuple

import typer

from caloforge import __version__
from caloforge.cli.failures import CommandGroup
from caloforge.cli.logs import configure_logging

__all__ = ["COMMANDS", "Command", "app"]

CITATION = f"""@software{{caloforge,
  title   = {{caloforge: fast calorimeter shower simulation with generative models}},
  author  = {{{{The caloforge developers}}}},
  year    = {{2026}},
  version = {{{__version__}}},
  license = {{Apache-2.0}},
}}"""

EPILOG = """[bold]Examples[/bold]

caloforge demo --out demo

caloforge generate caloclouds-2-cm:siw-ecal --energy 50 --count 9 --out a.h5

caloforge evaluate --reference geant4.h5 --generated mine=a.h5 --out report

Energies are in GeV, angles in degrees from the perpendicular; a:b is a range.
"""


class Command(NamedTuple):
    """A command: the module of ``caloforge.cli`` and the function in it have its name."""

    name: str
    panel: str


_SHOWERS, _MODELS, _FILES = "Showers", "Models", "Files and geometries"

COMMANDS: tuple[Command, ...] = (
    Command("demo", _SHOWERS),
    Command("simulate", _SHOWERS),
    Command("generate", _SHOWERS),
    Command("evaluate", _SHOWERS),
    Command("train", _MODELS),
    Command("models", _MODELS),
    Command("benchmark", _MODELS),
    Command("inspect", _FILES),
    Command("convert", _FILES),
    Command("show", _FILES),
    Command("geometries", _FILES),
)


app = typer.Typer(
    name="caloforge",
    cls=CommandGroup,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EPILOG,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"caloforge {__version__}")
        raise typer.Exit


def _print_citation(wanted: bool) -> None:
    if wanted:
        typer.echo(CITATION)
        raise typer.Exit


@app.callback()
def _options(
    *,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log details; errors with traceback.")
    ] = False,
    version: Annotated[  # noqa: ARG001 (acts in its callback)
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop."),
    ] = False,
    cite: Annotated[  # noqa: ARG001 (acts in its callback)
        bool,
        typer.Option("--cite", callback=_print_citation, is_eager=True, help="Print BibTeX and stop."),
    ] = False,
) -> None:
    """Fast calorimeter shower simulation: Geant4 data, generative models, evaluation, deployment."""
    configure_logging(verbose=verbose)


def _register() -> None:
    for command in COMMANDS:
        module = importlib.import_module(f"caloforge.cli.{command.name}")
        function = getattr(module, command.name)
        app.command(command.name, help=_help(function.__doc__ or ""), rich_help_panel=command.panel)(function)


def _help(docstring: str) -> str:
    """Join the lines of every paragraph; those below a line with a backslash and b are examples."""
    paragraphs = inspect.cleandoc(docstring).replace("\b", r"\b").replace("[", r"\[").split("\n\n")
    mark = "\\b\n"
    return "\n\n".join(
        f"[bold]Examples[/bold]\n\n{p.removeprefix(mark)}" if p.startswith(mark) else p.replace("\n", " ")
        for p in paragraphs
    )


_register()
