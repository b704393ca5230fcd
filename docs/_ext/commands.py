"""A page for every command: what it does, an example with its outcome, all options."""

from __future__ import annotations

import inspect
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from examples import EXAMPLES, Example, Outcome, outcomes
from options import as_typed, usage

from caloforge.cli.app import COMMANDS, app
from tables import table, write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx

__all__ = ["list_commands", "write_commands"]

FOLDER = Path(__file__).parents[1] / "commands"
_MARK = "<!-- commands -->"


def write_commands(_: Sphinx) -> None:
    """Write ``docs/commands/NAME.md`` of all commands."""
    shown = outcomes(FOLDER)
    for command in COMMANDS:
        write(FOLDER / f"{command.name}.md", _page(command.name, shown))
    tree = "\n".join(command.name for command in COMMANDS)
    words = "Every command with an example, what came out of it when this page was built, and all options."
    parts = ["# Commands", words, _list(""), f"```{{toctree}}\n:hidden:\n\n{tree}\n```"]
    write(FOLDER / "index.md", "\n\n".join(parts) + "\n")


def list_commands(_: Sphinx, page: str, content: list[str]) -> None:
    """Put the table of all commands where the page on the command line wants it."""
    if page == "command-line":
        content[0] = content[0].replace(_MARK, _list("commands/"))


def _list(folder: str) -> str:
    rows = [(f"[`{c.name}`]({folder}{c.name}.md)", _summary(c.name)) for c in COMMANDS]
    return table(("command", "what it does"), rows)


def _page(name: str, shown: dict[Example, Outcome]) -> str:
    command = _root().commands[name]
    words, examples = _words(command, name)
    parts = [f"# caloforge {name}", as_typed(words), "## Example"]
    for example in (e for e in EXAMPLES if e.command == name):
        parts += [example.words, _terminal(example, shown[example])]
        parts += [_picture(f"{name}-{Path(file).name}", alt) for file, alt in example.pictures]
        parts += [f'<a href="../{name}-{Path(file).name}">{alt}</a>' for file, alt in example.files]
    parts += ["## More examples", f"```bash\n{examples}\n```"] if examples else []
    parts += list(_usage(command, f"caloforge {name}"))
    return "\n\n".join(part for part in parts if part) + "\n"


def _picture(file: str, alt: str) -> str:
    width = "100%" if "event" in file else "65%"
    return f'![{alt}]({file}){{width="{width}"}}'


def _terminal(example: Example, outcome: Outcome) -> str:
    typed = f"```bash\n{example.lines}\n```"
    return typed + (f"\n\n```text\n{outcome}\n```" if outcome else "")


def _words(command: Any, name: str) -> tuple[str, str]:
    """What the docstring says, and its examples; of a command with commands what its help says."""
    help_text = next(c.help for c in COMMANDS if c.name == name)
    text = inspect.cleandoc(help_text or command.callback.__doc__).replace("\b", r"\b")
    words, _, examples = text.partition("\\b\n")
    return words.strip(), textwrap.dedent(examples).strip()


def _summary(name: str) -> str:
    return _words(_root().commands[name], name)[0].split("\n\n")[0].replace("\n", " ")


def _usage(command: Any, called: str) -> Iterator[str]:
    """Arguments and options, of a command with commands those of each."""
    if not hasattr(command, "commands"):
        yield from usage(command.callback, called)
        return
    for name, one in command.commands.items():
        yield from usage(one.callback, f"{called} {name}")


def _root() -> Any:
    return typer.main.get_command(app)
