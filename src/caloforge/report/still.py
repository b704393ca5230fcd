"""The event display as a picture for a page: perspective, shaded cells, one colour bar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.ticker import MaxNLocator, StrMethodFormatter
from mpl_toolkits.mplot3d.art3d import Poly3DCollection  # type: ignore[import-untyped]

from caloforge.report.scene import EnergyScale, Panel, Scene, build_scenes, circle_around, row_length
from caloforge.report.style import new_figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["COLOURS", "draw_event"]

COLOURS = "plasma_r"
_ASPECT = np.array([1.75, 1.0, 1.0])
_GLASSY = 0.4
_PANEL, _BAR = (6.4, 4.8), 1.1
_ELEVATION, _AZIMUTH = 17.0, -63.0
_FACES = np.array([[0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7]])
_LIGHT = np.array([-0.35, -0.75, 0.9])
_INK, _FAINT, _GLASS, _BEAM = "#2b2f36", "#b8bec8", "#5b7db118", "#d1495b"
_FONT: Any = {"font.family": "sans-serif", "font.size": 11.0, "axes.labelcolor": _INK, "text.color": _INK}


def draw_event(panels: Sequence[Panel], *, energy_cut: float = 0.0) -> Figure:
    """Draw showers in rows of two or three, depth to the right.

    Args:
        panels: For every picture its label, one shower and the geometry.
        energy_cut: Leave out hits below it [MeV].

    Returns:
        A figure that pyplot does not know; ``savefig`` it.

    Raises:
        DataError: There is no panel, or one has not exactly one shower.
        GeometryError: Cells belong to another geometry.
    """
    scenes, scale = build_scenes(panels, energy_cut=energy_cut)
    with mpl.rc_context(_FONT):
        columns = row_length(len(scenes))
        rows = -(-len(scenes) // columns)
        inches = _PANEL[0] * columns + _BAR
        figure = new_figure(inches, _PANEL[1] * rows)
        figure.set_layout_engine("none")  # the panels overlap on purpose
        step = _PANEL[0] / inches
        for number, scene in enumerate(scenes):
            corner = (number % columns) * step, (rows - 1 - number // columns) / rows
            # larger than the panel: the corners of a three-dimensional frame stay empty
            place = (corner[0] - 0.05 * step, corner[1] - 0.05 / rows, 1.06 * step, 1.01 / rows)
            axes: Any = figure.add_axes(place, projection="3d", computed_zorder=False)
            axes.patch.set_visible(False)
            _draw(axes, scene, scale)
            _write_titles(figure, scene, corner[0] + 0.05 * step, corner[1], rows)
        _colour_bar(figure, scale)
    return figure


def _draw(axes: Any, scene: Scene, scale: EnergyScale) -> None:
    _set_camera(axes, scene)
    _draw_outline(axes, scene)
    colours = mpl.colormaps[COLOURS](scale.position(scene.energy))
    if scene.shower.cells is not None:
        _draw_blocks(axes, scene, scale, colours)
    else:
        _draw_points(axes, scene, scale, colours)
    _draw_arrow(axes, scene)


def _set_camera(axes: Any, scene: Scene) -> None:
    low, high = _limits(scene)
    for name, ends in zip("xyz", zip(low, high, strict=True), strict=True):
        getattr(axes, f"set_{name}lim")(*ends)
    axes.set_box_aspect(_ASPECT, zoom=1.05)
    axes.set_proj_type("persp", focal_length=0.55)
    axes.view_init(elev=_ELEVATION, azim=_AZIMUTH)
    names = (scene.depth_name, "x [mm]", "y [mm]")
    for axis, label in zip((axes.xaxis, axes.yaxis, axes.zaxis), names, strict=True):
        axis.pane.fill = False
        axis.pane.set_edgecolor("none")
        axis.line.set_color(_FAINT)
        axis.set_tick_params(colors=_INK, labelsize=9, pad=0)
        axis.set_label_text(label)
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.grid(visible=False)


def _limits(scene: Scene) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    centre, half = np.array([0.0, *scene.centre]), np.array([0.0, *scene.half_width])
    depth = np.array([scene.geometry.depth, 0.0, 0.0])
    return centre - half, centre + half + depth


def _draw_outline(axes: Any, scene: Scene) -> None:
    for line in scene.outline:
        axes.plot(*line.T, color=_FAINT, linewidth=0.9, zorder=0, clip_on=False)
    front = Poly3DCollection([scene.outline[0]], facecolors=_GLASS, linewidths=0, zorder=0, clip_on=False)
    axes.add_collection3d(front)


def _draw_arrow(axes: Any, scene: Scene) -> None:
    start, end = scene.arrow
    low, high = _limits(scene)
    unit = (high - low) / _ASPECT
    along = (end - start) / unit
    neck = end - 0.07 * unit * along / np.linalg.norm(along)
    axes.plot(*np.stack([start, neck]).T, color=_BEAM, linewidth=2.4, zorder=3, clip_on=False)
    rim = neck + 0.016 * unit * circle_around(along, 16)
    cone = [np.stack([end, rim[i], rim[i - 1]]) for i in range(len(rim))]
    axes.add_collection3d(Poly3DCollection(cone, facecolors=_BEAM, linewidths=0, zorder=3, clip_on=False))


def _draw_points(axes: Any, scene: Scene, scale: EnergyScale, colours: NDArray[np.float64]) -> None:
    order = np.argsort(scene.energy)
    size = 1.5 + 26.0 * scale.position(scene.energy) ** 2
    axes.scatter(
        *scene.position[order].T,
        c=colours[order],
        s=size[order],
        alpha=0.85,
        linewidths=0,
        depthshade=False,
        clip_on=False,
        zorder=2,
    )


def _draw_blocks(axes: Any, scene: Scene, scale: EnergyScale, colours: NDArray[np.float64]) -> None:
    corners, owner = scene.blocks(scale)
    low, high = _limits(scene)
    faces = corners[:, _FACES]
    normals = _normals(faces * (_ASPECT / (high - low)))
    seen = normals @ _view() > -0.1
    block, _ = np.nonzero(seen)
    shaded = _shade(colours[owner[block]], normals[seen])
    # faint hits are glassy, so that they do not hide the core
    shaded[:, 3] = _GLASSY + (1 - _GLASSY) * scale.position(scene.energy)[owner[block]]
    axes.add_collection3d(
        Poly3DCollection(faces[seen], facecolors=shaded, linewidths=0, zorder=2, clip_on=False)
    )


def _view() -> NDArray[np.float64]:
    elevation, azimuth = np.deg2rad([_ELEVATION, _AZIMUTH])
    flat = np.cos(elevation)
    return np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)])


def _normals(faces: NDArray[np.float64]) -> NDArray[np.float64]:
    """Outward unit normals of the blocks' faces, ``(K, 6, 3)``."""
    normal = np.cross(faces[:, :, 1] - faces[:, :, 0], faces[:, :, 2] - faces[:, :, 0])
    outward = faces.mean(axis=2) - faces.mean(axis=(1, 2))[:, None]
    normal *= np.sign(np.sum(normal * outward, axis=-1, keepdims=True))
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    return np.asarray(normal / np.maximum(length, 1e-30))


def _shade(colours: NDArray[np.float64], normals: NDArray[np.float64]) -> NDArray[np.float64]:
    light = 0.72 + 0.28 * np.clip(normals @ (_LIGHT / np.linalg.norm(_LIGHT)), -1, 1)
    return np.column_stack([np.clip(colours[:, :3] * light[:, None], 0, 1), np.ones(len(colours))])


def _write_titles(figure: Figure, scene: Scene, left: float, bottom: float, rows: int) -> None:
    heights = [bottom + height / rows for height in (0.965, 0.905, 0.858)]
    figure.text(left, heights[0], scene.label, fontsize=15, fontweight="bold", va="top")
    figure.text(left, heights[1], scene.title, fontsize=12, va="top")
    figure.text(left, heights[2], scene.subtitle, fontsize=10, va="top", color="#6b7280")


def _colour_bar(figure: Figure, scale: EnergyScale) -> None:
    inches = figure.get_figwidth()
    place = ((inches - 0.92 * _BAR) / inches, 0.2, 0.16 / inches, 0.52)
    mappable = ScalarMappable(LogNorm(scale.low, scale.high), COLOURS)
    bar = figure.colorbar(mappable, cax=figure.add_axes(place))
    bar.set_label("hit energy [MeV]")
    bar.ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=9, color=_FAINT, which="both")
