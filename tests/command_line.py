"""Command lines, as a user types them, run in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typer.testing import CliRunner

from caloforge.cli.app import app

if TYPE_CHECKING:
    from click.testing import Result

__all__ = ["done", "refused", "run"]


def run(*arguments: object, env: dict[str, str] | None = None) -> Result:
    """What ``caloforge ARGUMENTS`` prints, and its exit code."""
    return CliRunner().invoke(app, [str(a) for a in arguments], env=env, prog_name="caloforge")


def done(*arguments: object) -> str:
    """What a command that succeeds prints."""
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*arguments: object) -> str:
    """The one sentence of a command that is refused."""
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    lines = [line for line in result.stderr.splitlines() if "error" in line]
    assert len(lines) == 1
    return lines[0]
