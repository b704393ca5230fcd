"""The application ``caloforge``: its commands and the options before them."""

from __future__ import annotations

import importlib
from typing import Annotated, NamedTuple

import typer

from caloforge import __version__
from caloforge.cli.failures import CommandGroup
from caloforge.cli.helptext import help_text
from caloforge.cli.logs import configure_logging
from caloforge.errors import ConfigError

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

caloforge generate mosaic:siw-ecal --energy 50 --count 9 --out a.h5

caloforge evaluate --reference geant4.h5 --generated mine=a.h5 --out report

Energies are in GeV, angles in degrees from the perpendicular; a:b is a range.
"""


class Command(NamedTuple):
    """A command: the module of ``caloforge.cli`` and the function in it have its name.

    Attributes:
        name: As typed.
        panel: Where the help lists it.
        help: Of a command that has commands itself, which is an application in its module.
        takes_command: Whether another command with its options follows its own options.
    """

    name: str
    panel: str
    help: str = ""
    takes_command: bool = False

    @property
    def function(self) -> str:
        """The name in Python."""
        return self.name.replace("-", "_")


_OTHERS_OPTIONS = {"allow_interspersed_args": False, "ignore_unknown_options": True}

_DATA = r"""Copy Geant4 showers out of the package, or download Geant4's data sets.

\b
caloforge data list
caloforge data fetch siw-ecal-photons --out geant4.h5
caloforge data fetch geant4
"""

_SHOWERS, _MODELS, _FILES, _JOBS = "Showers", "Models", "Files and geometries", "Jobs on a cluster"

COMMANDS: tuple[Command, ...] = (
    Command("demo", _SHOWERS),
    Command("simulate", _SHOWERS),
    Command("data", _SHOWERS, _DATA),
    Command("generate", _SHOWERS),
    Command("evaluate", _SHOWERS),
    Command("train", _MODELS),
    Command("sweep", _MODELS),
    Command("models", _MODELS),
    Command("benchmark", _MODELS),
    Command("export", _MODELS),
    Command("inspect", _FILES),
    Command("convert", _FILES),
    Command("show", _FILES),
    Command("geometries", _FILES),
    Command("plan", _JOBS, takes_command=True),
    Command("make-block", _JOBS),
    Command("join", _JOBS),
)


app = typer.Typer(
    name="caloforge",
    cls=CommandGroup,
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
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Only errors and results: no messages, no progress.")
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
    if quiet and verbose:
        raise ConfigError("--quiet and --verbose ask for the opposite of each other: give one of them.")
    configure_logging(verbose=verbose, quiet=quiet)


def _register() -> None:
    for command in COMMANDS:
        module = importlib.import_module(f"caloforge.cli.{command.function}")
        function = getattr(module, command.function)
        if command.help:
            app.add_typer(
                function, name=command.name, help=help_text(command.help), rich_help_panel=command.panel
            )
            continue
        register = app.command(
            command.name,
            help=help_text(function.__doc__),
            rich_help_panel=command.panel,
            context_settings=_OTHERS_OPTIONS if command.takes_command else None,
        )
        register(function)


_register()
