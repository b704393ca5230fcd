"""What goes wrong becomes one sentence on stderr and an exit code."""

from __future__ import annotations

import errno
import logging
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

import typer
from typer.core import TyperGroup

from caloforge.cli.ranks import is_first, tells
from caloforge.errors import CaloForgeError, bad, clipped
from caloforge.signals import exit_code, interruption, received

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BAD_INPUT", "CommandGroup", "complain", "sentence"]

BAD_INPUT = 2

# typer carries its own copy of click or uses the installed one: take the class that it has
_UsageError = cast("type[Exception]", typer.BadParameter.__base__)

_OF_NETWORKS = {"torch", "zuko", "lightning_fabric"}
_NETWORKS = (
    "Networks need the package {}: install it with pip install 'caloforge[train]'; "
    "mosaic generates, and `evaluate --metrics fast` judges, without it."
)

_logger = logging.getLogger(__name__)


class CommandGroup(TyperGroup):
    """The commands of the application; failures a user can cause do not end in a traceback."""

    def make_context(self, *args: Any, **options: Any) -> Any:
        """Read the options before the command.

        Raises:
            typer.Exit: With code 2 after bad input.
        """
        with _one_sentence():
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        """Run the command of ``ctx``.

        Raises:
            typer.Exit: With code 2 after bad input, 130 after Ctrl-C, 143 after SIGTERM, 138 after SIGUSR1.
        """
        with _one_sentence():
            return super().invoke(ctx)


@contextmanager
def _one_sentence() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except (CaloForgeError, OSError) as error:
        if received():  # on its way through others' code an interruption became another error
            raise _interrupted(interruption(received())) from None
        _logger.debug("The traceback of the error below:", exc_info=True)
        if tells():
            complain(f"error: {sentence(error)}")
        raise typer.Exit(BAD_INPUT) from None
    except ModuleNotFoundError as error:
        if (name := str(error.name).partition(".")[0]) not in _OF_NETWORKS:
            raise
        complain(f"error: {_NETWORKS.format(name)}")
        raise typer.Exit(BAD_INPUT) from None
    except KeyboardInterrupt as stop:
        raise _interrupted(stop) from None
    except _UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            raise
        if tells():
            complain(f"error: {_usage(error)}")
        raise typer.Exit(BAD_INPUT) from None


def _interrupted(stop: KeyboardInterrupt) -> typer.Exit:
    with suppress(OSError):  # the terminal may be gone
        if is_first():
            complain(f"interrupted; {stop}" if str(stop) else "interrupted")
    return typer.Exit(exit_code(stop))


def sentence(error: BaseException) -> str:
    """Say in one line what went wrong; errors of the operating system and of HDF5 are put in words."""
    text = " ".join(str(error).split()) or type(error).__name__
    if not isinstance(error, OSError) or isinstance(error, CaloForgeError):
        return text
    if error.errno == errno.ENOSPC or "No space left on device" in text:
        return f"The disk is full: make room or write elsewhere ({text})."
    if error.filename is None and _is_from_hdf5(text):
        return f"A HDF5 file is truncated or damaged: make or fetch it again ({text})."
    if error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}."
    return text


def _is_from_hdf5(text: str) -> bool:
    return "synchronously" in text or "truncated" in text or "file signature" in text


def _usage(error: Any) -> str:
    """What is wrong with a command line, what was typed, and where to look."""
    text = clipped(error.format_message().replace("Value error, ", "").rstrip("."), 300)
    cause = error.__cause__
    # pydantic's know what was typed; those of types of our own have their sentence already
    if hasattr(cause, "errors") and cause.errors()[0]["type"] != "value_error":
        from caloforge.records import first_problem

        problem = first_problem(cause)
        text = bad(text.partition(": ")[0], got=problem.got, expected=problem.expected).rstrip(".")
    path = error.ctx.command_path if error.ctx else "caloforge"
    end = " See" if text.endswith("?") else "; see"
    return f"{text}{end} `{path} --help`."


def complain(text: str) -> None:
    """Write a line to stderr."""
    typer.echo(f"caloforge: {text}", err=True)
