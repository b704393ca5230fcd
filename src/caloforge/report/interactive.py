"""The event display to turn and zoom: a plotly figure, as a page or as a part of one."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from caloforge.report.scene import EnergyScale, Panel, Scene, build_scenes
from caloforge.report.still import COLOURS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Fragment", "colour_gradient", "figure_3d", "html_fragments", "html_page"]

_ASPECT = {"x": 2.2, "y": 1.0, "z": 1.0}
_EYE = {"x": 1.1, "y": -2.45, "z": 0.8}
_BAR = 0.93
_FRONT = 0.27
_EDGE = 0.01
_MOST_BLOCKS = 6000
_INK, _FAINT, _BEAM = "#2b2f36", "#b8bec8", "#d1495b"
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"
# Two triangles for each of the six faces of a block.
_TRIANGLES = np.array(
    [
        [0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7], [0, 1, 5], [0, 5, 4],
        [1, 2, 6], [1, 6, 5], [2, 3, 7], [2, 7, 6], [3, 0, 4], [3, 4, 7],
    ]
)  # fmt: skip
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
  html, body {{ margin: 0; height: 100%; background: #fff; color: #2b2f36; font-family: {font}; }}
  main {{ height: 100vh; min-height: 420px; }}
</style>
</head>
<body>
<main>
{figure}
</main>
</body>
</html>
"""


class Fragment(NamedTuple):
    """One shower of a page: what it is, and the element that shows it."""

    label: str
    title: str
    subtitle: str
    html: str


def figure_3d(panels: Sequence[Panel], *, energy_cut: float = 0.0) -> Any:
    """Draw showers side by side, depth to the right; turning is independent for each.

    Args:
        panels: For every picture its label, one shower and the geometry.
        energy_cut: Leave out hits below it [MeV].

    Returns:
        A ``plotly.graph_objects.Figure``.

    Raises:
        DataError: There is no panel, or one has not exactly one shower.
        GeometryError: Cells belong to another geometry.
    """
    scenes, scale = build_scenes(panels, energy_cut=energy_cut)
    figure = _figure(scale, bar=True)
    step = _BAR / len(scenes)  # the rest is for the colour bar
    for number, scene in enumerate(scenes):
        key = "scene" if number == 0 else f"scene{number + 1}"
        figure.add_traces([{**trace, "scene": key} for trace in _traces(scene, scale)])
        domain = {"x": [number * step, (number + 1) * step], "y": [0.0, 0.92]}
        figure.update_layout({key: {**_axes(scene), "domain": domain}})
        figure.add_annotation(_heading(scene, number * step + 0.02))
    return figure


def html_fragments(
    panels: Sequence[Panel], *, energy_cut: float = 0.0, div_id: str
) -> tuple[list[Fragment], EnergyScale]:
    """Every shower as its own part of a page that has plotly.js (``plotly.offline.get_plotlyjs()``).

    The parts fill the elements that they are put into, so that the page decides how they stand.

    Args:
        panels: For every picture its label, one shower and the geometry.
        energy_cut: Leave out hits below it [MeV].
        div_id: The elements' ids are this with the number of the panel.

    Returns:
        The parts, and the colour scale that they share.

    Raises:
        DataError: There is no panel, or one has not exactly one shower.
    """
    scenes, scale = build_scenes(panels, energy_cut=energy_cut)
    fragments = []
    for number, scene in enumerate(scenes):
        figure = _figure(scale, bar=False)
        figure.add_traces(_traces(scene, scale))
        figure.update_layout(scene=_axes(scene), margin={"l": 0, "r": 0, "t": 0, "b": 0})
        content = _html(figure, library=False, div_id=f"{div_id}-{number}", height="100%")
        fragments.append(Fragment(scene.label, scene.title, scene.subtitle, content))
    return fragments, scale


def colour_gradient() -> str:
    """The colours of hit energies, low to high, as a CSS gradient."""
    import matplotlib as mpl
    from matplotlib.colors import to_hex

    colours = mpl.colormaps[COLOURS](np.linspace(0, 1, 12))
    return f"linear-gradient(to right, {', '.join(to_hex(c) for c in colours)})"


def html_page(panels: Sequence[Panel], *, energy_cut: float = 0.0, title: str = "Event display") -> str:
    """A page that needs no other file and no network.

    Args:
        panels: For every picture its label, one shower and the geometry.
        energy_cut: Leave out hits below it [MeV].
        title: Of the window.

    Raises:
        DataError: There is no panel, or one has not exactly one shower.
    """
    figure = figure_3d(panels, energy_cut=energy_cut)
    content = _html(figure, library=True, div_id="event", height="100%")
    return _PAGE.format(title=html.escape(title), font=_FONT, figure=content)


def _figure(scale: EnergyScale, *, bar: bool) -> Any:
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.update_layout(
        coloraxis={**_colour_axis(scale), "showscale": bar},
        showlegend=False,
        paper_bgcolor="white",
        margin={"l": 0, "r": 0, "t": 10, "b": 0},
        font={"family": _FONT, "color": _INK},
        uirevision="keep",
    )
    return figure


def _html(figure: Any, *, library: bool, div_id: str, height: str) -> str:
    from plotly import io

    config = {"displaylogo": False, "responsive": True, "showSendToCloud": False, "plotlyServerURL": ""}
    text: str = io.to_html(
        figure,
        full_html=False,
        include_plotlyjs=library,
        include_mathjax=False,
        div_id=div_id,
        default_height=height,
        config=config,
    )
    return text


def _traces(scene: Scene, scale: EnergyScale) -> list[dict[str, Any]]:
    blocks = scene.shower.cells is not None and len(scene.energy) <= _MOST_BLOCKS
    hits = _blocks(scene, scale) if blocks else _markers(scene, scale)
    return [*_lines(scene), *_arrow(scene), *hits]


def _blocks(scene: Scene, scale: EnergyScale) -> list[dict[str, Any]]:
    corners, owner = scene.blocks(scale)
    if not len(owner):
        return []
    vertices = corners.reshape(-1, 3).astype(np.float32)
    triangles = (_TRIANGLES + 8 * np.arange(len(owner))[:, None, None]).reshape(-1, 3)
    solid = {
        "type": "mesh3d",
        **_xyz(vertices),
        **dict(zip("ijk", triangles.T.astype(np.int32), strict=True)),
        "intensity": np.repeat(_log(scene.energy)[owner], len(_TRIANGLES)),
        "intensitymode": "cell",
        "coloraxis": "coloraxis",
        "flatshading": True,
        "lighting": {"ambient": 0.85, "diffuse": 0.35, "specular": 0.03, "roughness": 0.9},
        "lightposition": {"x": -200, "y": -800, "z": 900},
        "hoverinfo": "skip",
    }
    # plotly tells a mesh's corners, not its cells: unseen markers answer the pointer
    return [solid, {**_hover(scene), "marker": {"size": 9, "opacity": 0.0}}]


def _markers(scene: Scene, scale: EnergyScale) -> list[dict[str, Any]]:
    marker = {
        "size": 1.5 + 5.5 * scale.position(scene.energy) ** 1.5,
        "color": _log(scene.energy),
        "coloraxis": "coloraxis",
        "opacity": 0.85,
        "line": {"width": 0},
    }
    return [{**_hover(scene), "marker": marker}]


def _hover(scene: Scene) -> dict[str, Any]:
    numbers = [layer.id for layer in scene.geometry.layers]
    cells = scene.cell_names()
    rows = zip(scene.energy.tolist(), scene.layer.tolist(), cells, scene.position.tolist(), strict=True)
    texts = [_hit_text(energy, numbers[layer], cell, place) for energy, layer, cell, place in rows]
    return {
        "type": "scatter3d",
        "mode": "markers",
        **_xyz(scene.position.astype(np.float32)),
        "hovertext": texts,
        "hoverinfo": "text",
    }


def _hit_text(energy: float, layer: int, cell: str, place: list[float]) -> str:
    depth, x, y = place
    where = f"<br>cell {cell}" if cell else ""
    return f"<b>{energy:.3g} MeV</b><br>layer {layer}{where}<br>x {x:.1f}, y {y:.1f}, depth {depth:.1f} mm"


def _lines(scene: Scene) -> list[dict[str, Any]]:
    gap = np.full((1, 3), np.nan)
    joined = np.concatenate([part for line in scene.outline for part in (line, gap)])
    line = {"color": _FAINT, "width": 2}
    return [{"type": "scatter3d", "mode": "lines", **_xyz(joined), "line": line, "hoverinfo": "skip"}]


def _arrow(scene: Scene) -> list[dict[str, Any]]:
    start, end = scene.arrow
    way = end - start
    shaft = np.stack([start, end - 0.2 * way])
    line = {"color": _BEAM, "width": 6}
    tip = {"type": "cone", **_xyz(end[None]), **dict(zip("uvw", way[:, None], strict=True))}
    tip |= {"anchor": "tip", "sizemode": "absolute", "sizeref": 0.25 * float(np.linalg.norm(way))}
    tip |= {"colorscale": [[0, _BEAM], [1, _BEAM]], "showscale": False, "hoverinfo": "skip"}
    return [{"type": "scatter3d", "mode": "lines", **_xyz(shaft), "line": line, "hoverinfo": "skip"}, tip]


def _axes(scene: Scene) -> dict[str, Any]:
    (x, y), (half_x, half_y) = scene.centre, scene.half_width
    depth = scene.geometry.depth
    ends = {scene.depth_name: (0.0, depth), "x [mm]": (x - half_x, x + half_x)}
    ends["y [mm]"] = (y - half_y, y + half_y)
    axes = {f"{a}axis": _axis(name, *ends[name]) for a, name in zip("xyz", ends, strict=True)}
    axes["xaxis"]["range"][0] -= _FRONT * depth  # room for the arrow
    camera = {"eye": _EYE, "center": {"x": 0.0, "y": 0.0, "z": -0.1}}
    return {**axes, "aspectmode": "manual", "aspectratio": _ASPECT, "camera": camera}


def _axis(name: str, low: float, high: float) -> dict[str, Any]:
    edge = _EDGE * (high - low)
    return {
        "title": {"text": name, "font": {"size": 13}},
        "range": [low - edge, high + edge],
        "tickvals": _ticks(low, high),
        "tickangle": 0,
        "showbackground": False,
        "showgrid": False,
        "zeroline": False,
        "showspikes": False,
        "ticks": "outside",
        "tickfont": {"size": 11},
        "linecolor": _FAINT,
        "tickcolor": _FAINT,
    }


def _ticks(low: float, high: float) -> NDArray[np.float64]:
    rough = (high - low) / 5
    power = 10.0 ** np.floor(np.log10(rough))
    step = power * next(f for f in (1, 2, 5, 10) if f * power >= rough)
    return np.asarray(step * np.arange(np.ceil(low / step), np.floor(high / step) + 1))


def _heading(scene: Scene, left: float) -> dict[str, Any]:
    label, title, subtitle = (html.escape(t) for t in (scene.label, scene.title, scene.subtitle))
    small = f"<span style='font-size:12px;color:#6b7280'>{subtitle}</span>"
    return {
        "text": f"<b style='font-size:18px'>{label}</b><br>{title}<br>{small}",
        "xref": "paper",
        "yref": "paper",
        "x": left,
        "y": 1.0,
        "xanchor": "left",
        "yanchor": "top",
        "align": "left",
        "showarrow": False,
        "font": {"size": 14},
    }


def _colour_axis(scale: EnergyScale) -> dict[str, Any]:
    low, high = np.log10([scale.low, scale.high])
    ticks = np.arange(np.ceil(low), np.floor(high) + 1)
    bar = {
        "title": {"text": "hit energy<br>[MeV]", "font": {"size": 13}},
        "tickvals": ticks,
        "ticktext": [f"{10.0**t:g}" for t in ticks],
        "len": 0.6,
        "thickness": 14,
        "outlinewidth": 0,
        "x": _BAR,
    }
    return {"colorscale": COLOURS, "cmin": float(low), "cmax": float(high), "colorbar": bar}


def _log(energy: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(np.log10(np.maximum(energy, 1e-12)), dtype=np.float64)


def _xyz(points: NDArray[np.floating]) -> dict[str, NDArray[np.floating]]:
    return dict(zip("xyz", points.T, strict=True))
