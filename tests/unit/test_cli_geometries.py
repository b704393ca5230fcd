"""What the command says of odd but valid geometries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from command_line import run

if TYPE_CHECKING:
    from pathlib import Path

ODD = """
name: "odd <ü> [bold]"
description: >
  many
  lines
particle: 130
grid: {kind: polar, n_alpha: 3, r_edges: [0, 1.5, 3]}
layers:
  - {id: 7}
  - {id: 3}
  - {id: 4}
  - {id: 12, grid: {kind: box, nx: 1, ny: 2, pitch: [1, 0.001]}, slabs: [[W, 1]]}
"""


def test_odd_geometries_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text(ODD)
    result = run("geometries", path)
    assert result.exit_code == 0, result.output
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[0] == "odd <ü> [bold]"
    assert "description many lines" in lines
    assert "particle PDG 130" in lines
    assert lines[-2:] == [
        "7, 3 to 4 not known 3 angles x 2 rings up to 3 mm",
        "12 W 1 mm 1 x 2 of 1 x 0.001 mm",
    ]
