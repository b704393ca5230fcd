"""The pages as a site: `make docs` writes it to site/."""

from __future__ import annotations

import os
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent / "_ext"))
# notebooks run the commands of this environment
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
os.environ["CALOFORGE_DOCS"] = str(Path(__file__).parent)

from cards import list_cards, write_cards
from commands import list_commands, write_commands
from examples import code_key
from execution import notebook_settings
from links import links_to_pages, quote_readme
from plotly.offline import get_plotlyjs
from reference import leave_out, list_names, sentences, short_signature

from caloforge import __version__
from tables import write

if TYPE_CHECKING:
    from sphinx.application import Sphinx

(Path(__file__).parent / "commands" / "files").mkdir(parents=True, exist_ok=True)
os.environ["IPYTHONDIR"] = notebook_settings()
# pages with events to turn share it; nothing is loaded from elsewhere
write(Path(__file__).parent / "_static" / "plotly.min.js", get_plotlyjs())

project = "caloforge"
author = "The caloforge developers"
copyright = f"{date.today().year}, {author}"  # noqa: A001, DTZ011 (Sphinx takes this name; the local year)
release = version = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["README.md", "_build", "_ext"]
suppress_warnings = ["ref.python"]  # words of docstrings in backquotes that are names of several things
source_suffix = {".md": "myst-nb"}

html_theme = "furo"
html_title = "caloforge"
html_static_path = ["_static"]
html_css_files = ["caloforge.css"]
html_extra_path = ["commands/files"]  # pages that commands wrote
html_show_sourcelink = False

myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "dollarmath", "attrs_inline"]

nb_execution_mode = "cache"
# other code, other outputs
nb_execution_cache_path = str(Path(__file__).parent / "_build" / f"notebooks-{code_key()[:12]}")
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_mock_imports = ["geant4_pybind"]
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
python_use_unqualified_type_names = True


def setup(app: Sphinx) -> None:
    """Hook into the build."""
    app.connect("builder-inited", write_cards)
    app.connect("builder-inited", write_commands)
    app.connect("source-read", list_cards)
    app.connect("source-read", list_commands)
    app.connect("source-read", list_names)
    app.connect("source-read", quote_readme)
    app.connect("source-read", links_to_pages)
    app.connect("autodoc-skip-member", leave_out)
    app.connect("autodoc-process-docstring", sentences, priority=400)  # before napoleon
    app.connect("autodoc-process-signature", short_signature)
