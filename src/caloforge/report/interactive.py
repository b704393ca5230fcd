"""Showers to turn and zoom: plotly figures as data, and the page that draws them."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from caloforge.report.axes import ASPECT, scene_layout, scene_size, tick_lines
from caloforge.report.pages import render
from caloforge.report.scene import EnergyScale, Panel, Scene, build_scenes, circle_around
from caloforge.report.still import COLOURS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Fragment", "Tick", "TurnTable", "figures_3d", "html_page", "plotly_library", "turn_table"]

_WIDE = 1000.0
_MOST_BLOCKS = 6000
_TIP, _TIP_WIDTH, _TIP_SIDES = 0.16, 0.045, 12
_INK, _FAINT, _BEAM = "#2b2f36", "#b8bec8", "#d1495b"
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"


class Fragment(NamedTuple):
    """One shower of a page: what it is, and its figure as JSON that may stand in a page."""

    label: str
    title: str
    subtitle: str
    figure: str


class Tick(NamedTuple):
    """A number of the colour bar, and where it stands, 0 to 1."""

    text: str
    position: float


class TurnTable(NamedTuple):
    """Showers to turn with the mouse.

    Attributes:
        fragments: One per shower.
        gradient: Their colours from low to high energy, as a CSS gradient.
        ticks: Numbers of the colour bar [MeV].
    """

    fragments: list[Fragment]
    gradient: str
    ticks: list[Tick]


def figures_3d(panels: Sequence[Panel], *, energy_cut: float = 0.0) -> list[dict[str, Any]]:
    """A plotly figure of every shower, depth to the right, with one colour scale.

    Args:
        panels: For every picture its label, one shower and the geometry.
        energy_cut: Leave out hits below it [MeV].

    Returns:
        For each ``data`` and ``layout``. A trace of cells has ``blocks``, from which ``turn.js`` makes
        triangles: the hit of every eight corners, and the hits' intensities and texts.

    Raises:
        DataError: There is no panel, or one has not exactly one shower.
        GeometryError: Cells belong to another geometry.
    """
    scenes, scale = build_scenes(panels, energy_cut=energy_cut)
    return [_figure(scene, scale) for scene in scenes]


def turn_table(panels: Sequence[Panel], *, energy_cut: float = 0.0) -> TurnTable:
    """What the template ``turn.html`` shows; arguments and errors as of ``figures_3d``."""
    scenes, scale = build_scenes(panels, energy_cut=energy_cut)
    fragments = [
        Fragment(scene.label, scene.title, scene.subtitle, _json(_figure(scene, scale))) for scene in scenes
    ]
    return TurnTable(fragments, _gradient(), _colour_ticks(scale))


def html_page(panels: Sequence[Panel], *, energy_cut: float = 0.0, title: str = "Event display") -> str:
    """A page that needs no other file and no network.

    Args:
        panels: For every picture its label, one shower and the geometry.
        energy_cut: Leave out hits below it [MeV].
        title: Of the window.

    Raises:
        DataError: There is no panel, or one has not exactly one shower.
        GeometryError: Cells belong to another geometry.
    """
    table = turn_table(panels, energy_cut=energy_cut)
    return render("event.html", title=title, table=table, library=plotly_library())


def plotly_library() -> str:
    """The JavaScript that the figures need, about 5 MB."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def _figure(scene: Scene, scale: EnergyScale) -> dict[str, Any]:
    layout = {
        "coloraxis": {
            "colorscale": _colour_steps(),
            "cmin": math.log10(scale.low),
            "cmax": math.log10(scale.high),
            "showscale": False,
        },
        "showlegend": False,
        "paper_bgcolor": "white",
        "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
        "font": {"family": _FONT, "color": _INK},
        "scene": scene_layout(scene),
    }
    return {"data": _traces(scene, scale), "layout": layout}


def _json(figure: dict[str, Any]) -> str:
    """Compact JSON without a character that could end a script element."""
    return json.dumps(figure, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _colour_steps() -> list[tuple[float, str]]:
    import matplotlib as mpl
    from matplotlib.colors import to_hex

    places = np.linspace(0, 1, 12)
    return [(round(float(p), 4), to_hex(mpl.colormaps[COLOURS](p))) for p in places]


def _gradient() -> str:
    return f"linear-gradient(to right, {', '.join(colour for _, colour in _colour_steps())})"


def _colour_ticks(scale: EnergyScale) -> list[Tick]:
    """Powers of ten; 2 and 5 of them too where these are few."""
    powers = 10.0 ** np.arange(math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high)) + 1)
    wanted = powers if scale.high > _WIDE * scale.low else np.outer(powers, (1, 2, 5)).ravel()
    shown = wanted[(wanted >= scale.low * (1 - 1e-9)) & (wanted <= scale.high * (1 + 1e-9))]
    return [Tick(f"{energy:g}", float(scale.position(np.array([energy]))[0])) for energy in shown]


def _traces(scene: Scene, scale: EnergyScale) -> list[dict[str, Any]]:
    blocks = scene.shower.cells is not None and len(scene.energy) <= _MOST_BLOCKS
    hits = _blocks(scene, scale) if blocks else _markers(scene, scale)
    return [_lines(scene), *_arrow(scene), *hits]


def _blocks(scene: Scene, scale: EnergyScale) -> list[dict[str, Any]]:
    corners, owner = scene.blocks(scale)
    if not len(owner):
        return []
    blocks = {"owner": owner.tolist(), "intensity": _log(scene.energy), "text": _texts(scene)}
    mesh = {"blocks": blocks, "intensitymode": "cell", "coloraxis": "coloraxis", "hoverinfo": "text"}
    return [{**_solid(corners.reshape(-1, 3)), **mesh}]


def _markers(scene: Scene, scale: EnergyScale) -> list[dict[str, Any]]:
    marker = {
        "size": np.round(1.5 + 5.5 * scale.position(scene.energy) ** 1.5, 2).tolist(),
        "color": _log(scene.energy),
        "coloraxis": "coloraxis",
        "opacity": 0.85,
        "line": {"width": 0},
    }
    texts = {"hovertext": _texts(scene), "hoverinfo": "text"}
    return [{"type": "scatter3d", "mode": "markers", **_xyz(scene.position), **texts, "marker": marker}]


def _texts(scene: Scene) -> list[str]:
    """What the pointer tells of every hit."""
    numbers = [layer.id for layer in scene.geometry.layers]
    cells = scene.cell_names()
    rows = zip(scene.energy.tolist(), scene.layer.tolist(), cells, scene.position.tolist(), strict=True)
    return [_hit_text(energy, numbers[layer], cell, place) for energy, layer, cell, place in rows]


def _hit_text(energy: float, layer: int, cell: str, place: list[float]) -> str:
    depth, x, y = place
    where = f"<br>cell {cell}" if cell else ""
    return f"<b>{energy:.3g} MeV</b><br>layer {layer}{where}<br>x {x:.1f}, y {y:.1f}, depth {depth:.1f} mm"


def _lines(scene: Scene) -> dict[str, Any]:
    gap = np.full((1, 3), np.nan)
    joined = np.concatenate([part for line in (*scene.outline, *tick_lines(scene)) for part in (line, gap)])
    return _line(joined, colour=_FAINT, width=2)


def _line(points: NDArray[np.floating], *, colour: str, width: float) -> dict[str, Any]:
    line = {"color": colour, "width": width}
    return {"type": "scatter3d", "mode": "lines", **_xyz(points), "line": line, "hoverinfo": "skip"}


def _arrow(scene: Scene) -> list[dict[str, Any]]:
    """A line with a cone of triangles: plotly's own cones would compile shaders in every scene."""
    start, end = scene.arrow
    unit = scene_size(scene) / ASPECT
    way = (end - start) / unit
    neck = end - _TIP * way / np.linalg.norm(way) * unit
    rim = neck + _TIP_WIDTH * unit * circle_around(way, _TIP_SIDES)
    sides = np.arange(_TIP_SIDES)
    cone = {"i": [_TIP_SIDES] * _TIP_SIDES, "j": sides.tolist(), "k": np.roll(sides, 1).tolist()}
    tip = {**_solid(np.concatenate([rim, end[None]])), **cone, "color": _BEAM, "hoverinfo": "skip"}
    return [_line(np.stack([start, neck]), colour=_BEAM, width=6), tip]


def _solid(vertices: NDArray[np.floating]) -> dict[str, Any]:
    return {
        "type": "mesh3d",
        **_xyz(vertices),
        "flatshading": True,
        "lighting": {"ambient": 0.85, "diffuse": 0.35, "specular": 0.03, "roughness": 0.9},
        "lightposition": {"x": -200, "y": -800, "z": 900},
    }


def _log(energy: NDArray[np.float32]) -> list[float]:
    found: list[float] = np.log10(np.maximum(energy.astype(np.float64), 1e-12)).round(4).tolist()
    return found


def _xyz(points: NDArray[np.floating]) -> dict[str, list[float | None]]:
    """Coordinates in thousandths, with None for gaps."""
    rounded = points.astype(np.float64).round(3).T.tolist()
    columns = ([None if math.isnan(value) else value for value in column] for column in rounded)
    return dict(zip("xyz", columns, strict=True))
