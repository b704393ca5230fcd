"""Export models to every target and write the table in docs/export.md.

python benchmarks/exports.py [MODEL:TAG...]

Rows of models that are not named stay as they are; without names all shipped models are exported, which takes
a minute or two each.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from caloforge.errors import CaloForgeError
from caloforge.export import TARGETS, Target, export
from caloforge.zoo import shipped_models
from tables import kept_rows, replace, table

PAGE = Path(__file__).parents[1] / "docs" / "export.md"
COLUMNS = (
    "model",
    "target",
    "operators",
    "showers in torch and in ONNX Runtime",
    "one shower",
    "exported in",
)


def row(name: str, target: Target) -> tuple[str, ...]:
    """What the export of a model came to."""
    start = time.process_time()
    with TemporaryDirectory() as folder:
        try:
            made = export(name, target=target, out=Path(folder) / "out")
        except CaloForgeError as error:
            return (f"`{name}`", target, "", str(error), "", "")
    nodes = " + ".join(map(str, made.nodes))
    parity = str(made.parity or "its own engine, bit for bit")
    took = f"{time.process_time() - start:.0f} s"
    return (f"`{name}`", target, nodes, parity, str(made.latency or ""), took)


def main() -> None:
    """Replace what stands between the marks, after every export."""
    for name in sys.argv[1:] or shipped_models():
        for target in TARGETS:
            rows = kept_rows(PAGE, "exports")
            rows[(f"`{name}`", target)] = row(name, target)
            replace(PAGE, "exports", "\n".join(table(COLUMNS, (rows[key] for key in sorted(rows)))))
    print(PAGE)


if __name__ == "__main__":
    main()
