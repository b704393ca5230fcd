"""What goes wrong becomes one sentence on stderr and an exit code."""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from caloforge.errors import CaloForgeError

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["BAD_INPUT", "INTERRUPTED", "CommandGroup", "sentence"]

BAD_INPUT = 2
INTERRUPTED = 130

_logger = logging.getLogger(__name__)


class CommandGroup(TyperGroup):
    """The commands of the application; failures a user can cause do not end in a traceback.

    ``resumable`` names the commands that go on where they were when they are run again.
    """

    resumable: Collection[str] = ()

    def invoke(self, ctx: Any) -> Any:
        """Run the command of ``ctx``.

        Raises:
            typer.Exit: With code 2 after bad input, or 130 after an interruption.
        """
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except (CaloForgeError, OSError) as error:
            _logger.debug("The traceback of the error below:", exc_info=True)
            _complain(f"error: {sentence(error)}")
            raise typer.Exit(BAD_INPUT) from None
        except KeyboardInterrupt:
            again = ctx.invoked_subcommand in self.resumable
            _complain("interrupted; run the same command again to go on" if again else "interrupted")
            raise typer.Exit(INTERRUPTED) from None


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


def _complain(text: str) -> None:
    typer.echo(f"caloforge: {text}", err=True)
