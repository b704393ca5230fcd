"""The help of a command is the docstring of its function."""

from __future__ import annotations

import inspect

__all__ = ["help_text"]


def help_text(docstring: str | None) -> str:
    """Join the lines of every paragraph; those below a line with a backslash and b are examples."""
    text = inspect.cleandoc(docstring or "")
    paragraphs = text.replace("\b", r"\b").replace("[", r"\[").split("\n\n")
    mark = "\\b\n"
    return "\n\n".join(
        f"[bold]Examples[/bold]\n\n{p.removeprefix(mark)}" if p.startswith(mark) else p.replace("\n", " ")
        for p in paragraphs
    )
