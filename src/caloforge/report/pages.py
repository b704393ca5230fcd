"""The HTML templates."""

from __future__ import annotations

from typing import Any

import jinja2

__all__ = ["render"]


def render(template: str, **content: Any) -> str:
    """A page from one of the templates; texts are escaped.

    Args:
        template: File name.
        **content: What the template names; something that is missing is an error.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("caloforge.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**content)
