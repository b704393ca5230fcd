"""Export models to every target and write the table in docs/export.md.

python benchmarks/exports.py [MODEL:TAG...] [TARGET...]

Rows of models and targets that are not named stay as they are; without names all shipped models are exported,
which takes a minute or two each. What is refused is printed and has no row.
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
    "took",
)


def row(name: str, target: Target) -> tuple[str, ...] | None:
    """What the export of a model came to; None where it is refused."""
    start = time.process_time()
    with TemporaryDirectory() as folder:
        try:
            made = export(name, target=target, out=Path(folder) / "out")
        except CaloForgeError as error:
            print(f"{name} {target}: {error}")
            return None
    nodes = " + ".join(map(str, made.nodes))
    parity = str(made.parity or "its own engine, bit for bit")
    took = f"{time.process_time() - start:.0f} s"
    return (f"`{name}`", target, nodes, parity, str(made.latency or ""), took)


def named() -> tuple[list[str], list[Target]]:
    """Models and targets of the command line: all of those of which none is named."""
    models = [name for name in sys.argv[1:] if name not in TARGETS]
    targets = [target for target in TARGETS if target in sys.argv[1:]]
    return models or list(shipped_models()), targets or list(TARGETS)


def main() -> None:
    """Replace what stands between the marks, after every export."""
    models, targets = named()
    for name in models:
        for target in targets:
            made, rows = row(name, target), kept_rows(PAGE, "exports")
            rows.pop((f"`{name}`", target), None)
            if made is not None:
                rows[made[:2]] = made
            replace(PAGE, "exports", "\n".join(table(COLUMNS, (rows[key] for key in sorted(rows)))))
    print(PAGE)


if __name__ == "__main__":
    main()
