"""Export models and write the table in docs/export.md.

python benchmarks/exports.py MODEL:TAG...
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from caloforge.errors import CaloForgeError
from caloforge.export import export
from caloforge.zoo import shipped_models
from tables import replace, table

PAGE = Path(__file__).parents[1] / "docs" / "export.md"


def row(name: str) -> tuple[str, ...]:
    """What the export of a model came to."""
    target = "cpp" if name.startswith("mosaic") else "onnx"
    with TemporaryDirectory() as folder:
        try:
            made = export(name, target=target, out=Path(folder) / "out")
        except CaloForgeError as error:
            return (f"`{name}`", target, "", str(error), "")
    nodes = " + ".join(map(str, made.nodes))
    return (
        f"`{name}`",
        target,
        nodes,
        str(made.parity or "no graph: its own engine"),
        str(made.latency or ""),
    )


def main() -> None:
    """Replace what stands between the marks."""
    rows = [row(name) for name in sys.argv[1:] or shipped_models()]
    columns = ("model", "target", "operators", "showers in torch and in ONNX Runtime", "one shower")
    replace(PAGE, "exports", "\n".join(table(columns, rows)))
    print(PAGE)


if __name__ == "__main__":
    main()
