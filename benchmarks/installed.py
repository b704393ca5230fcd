"""Install caloforge into an empty environment and write what it took into docs/installation.md.

python benchmarks/installed.py                     # the core alone, with its licences
python benchmarks/installed.py --extras report     # and what these add
python benchmarks/installed.py --from dist/caloforge-0.1.0-cp313-cp313-linux_x86_64.whl

Counted are the bytes of all files, with what Python compiled, without pip and without what is only linked.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tables import replace, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "installation.md"
MOST = 300  # MB that the core may take
SHOWN = 1.0  # MB from which on a package has a row of its own

# runs in the environment: a distribution's files, what compiled of them, its licence, who needs it
LOOK = """
import json
from importlib.metadata import distributions
from pathlib import Path

found = []
for each in distributions():
    paths = {Path(each.locate_file(f)) for f in each.files or ()}
    size = sum(p.stat().st_size for p in paths if p.is_file())
    told = each.metadata
    classes = [c.split(" :: ")[-1] for c in told.get_all("Classifier", ()) if c.startswith("License ::")]
    licence = told["License-Expression"] or ", ".join(classes) or (told["License"] or "").split("\\n")[0]
    found.append({"name": told["Name"], "version": each.version, "bytes": size, "licence": licence[:60]})
print(json.dumps(found))
"""


def installed(source: str) -> list[dict[str, Any]]:
    """What lies in an environment after ``pip install source``, but pip."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = next(Path(folder).glob("[bS]*/python*"))
        subprocess.run([python, "-m", "pip", "install", "--quiet", source], check=True)
        shown = subprocess.run([python, "-c", LOOK], check=True, capture_output=True, encoding="utf-8")
    found = [each for each in json.loads(shown.stdout) if each["name"] not in {"pip", "setuptools"}]
    return sorted(found, key=lambda each: -each["bytes"])


def total(found: Iterable[dict[str, Any]]) -> float:
    """Size of distributions [MB]."""
    return sum(each["bytes"] for each in found) / 1e6


def sizes(found: Sequence[dict[str, Any]]) -> list[str]:
    """The table in Markdown."""
    large = [each for each in found if each["bytes"] >= SHOWN * 1e6]
    small = [each for each in found if each["bytes"] < SHOWN * 1e6]
    rows = [(e["name"], e["version"], f"{e['bytes'] / 1e6:.0f}", e["licence"]) for e in large]
    names = ", ".join(sorted(each["name"] for each in small))
    licences = ", ".join(sorted({each["licence"] for each in small}))
    rows += [(names, "", f"{total(small):.0f}", licences), ("**all**", "", f"**{total(found):.0f}**", "")]
    return table(("package", "version", "MB", "licence"), rows)


def main() -> None:
    """Install, measure, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--from", dest="source", default=str(ROOT), help="a wheel, or a folder with sources")
    parser.add_argument("--extras", nargs="*", default=[], help="measure these, too")
    options = parser.parse_args()
    core = installed(options.source)
    where = f"Python {platform.python_version()} on {platform.system()}, {platform.machine()}"
    lines = [f"{where}:", "", *sizes(core)]
    for extra in options.extras:
        more = [
            e for e in installed(f"{options.source}[{extra}]") if e["name"] not in {c["name"] for c in core}
        ]
        first = ", ".join(f"{e['name']} {e['bytes'] / 1e6:.0f}" for e in more[:6])
        lines.append(f"`{extra}` adds {total(more):.0f} MB: {first} and {len(more) - 6} more.")
    replace(PAGE, "installed", "\n".join(lines) + "\n")
    print(f"{PAGE}: {total(core):.0f} MB")
    if total(core) > MOST:
        sys.exit(f"The core takes more than {MOST} MB.")


if __name__ == "__main__":
    main()
