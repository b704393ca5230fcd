"""The event display: what it shows, that the page stands alone, that pictures are not blank."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import matplotlib.image
import numpy as np
import pytest

from caloforge.errors import DataError, GeometryError, OutputError
from caloforge.geometry import Geometry, load_geometry, project
from caloforge.report.axes import STAGE_ASPECT, VIEW_ANGLE, scene_layout, seen_points, tick_lines
from caloforge.report.camera import Camera, Room, fit_camera
from caloforge.report.display import draw_event, figures_3d, html_page, save_display
from caloforge.report.interactive import turn_table
from caloforge.report.scene import EnergyScale, build_scenes, row_length
from caloforge.report.style import style
from caloforge.showers import Incident, ShowerMeta, Showers

if TYPE_CHECKING:
    from pathlib import Path

    from caloforge.report.scene import Panel, Scene

WHITE = 0.995


def project_points(points: np.ndarray, camera: Camera, *, aspect: float, angle: float) -> np.ndarray:
    """Where a camera sees points, ``(K, 2)``: -1 to 1 from the left to the right and from low to high."""
    towards = (camera.eye - camera.centre) / np.linalg.norm(camera.eye - camera.centre)
    right = np.cross([0.0, 0.0, 1.0], towards)
    right /= np.linalg.norm(right)
    away = points - camera.eye
    seen = np.stack([away @ right / aspect, away @ np.cross(towards, right)], axis=1)
    return seen / (-np.tan(angle / 2) * (away @ towards))[:, None]


def one_hit(geometry: Geometry, cells: list[int], energy: list[float], **incident: float) -> Showers:
    return Showers(
        Incident.of(50_000.0, **incident),
        np.array([0, len(cells)]),
        np.array(energy),
        cells=np.array(cells),
        meta=ShowerMeta(geometry=geometry.name, fingerprint=geometry.fingerprint),
    )


def scene_of(geometry: Geometry, **incident: float) -> Scene:
    return build_scenes([("a", one_hit(geometry, [0], [1.0], **incident), geometry)])[0][0]


def pixels(panels: list[Panel]) -> np.ndarray:
    buffer = io.BytesIO()
    draw_event(panels).savefig(buffer, dpi=50)
    buffer.seek(0)
    return matplotlib.image.imread(buffer)


@pytest.fixture
def panels(toy_cells: Showers, toy_showers: Showers, siw: Geometry) -> list[Panel]:
    return [("Geant4 <1>", toy_cells[0:1], siw), ("cloud", toy_showers[1:2], siw)]


def test_scale_is_shared_and_logarithmic(siw: Geometry) -> None:
    first, second = one_hit(siw, [0], [1.0]), one_hit(siw, [0, 1], [100.0, 10.0])
    scenes, scale = build_scenes([("a", first, siw), ("b", second, siw)])
    assert scale.high == 100.0
    assert 1.0 <= scale.low < 2.0
    np.testing.assert_allclose(
        EnergyScale(1.0, 100.0).position(np.array([0.1, 1, 10, 100, 1e4])), [0, 0, 0.5, 1, 1]
    )
    assert [len(scene.energy) for scene in scenes] == [1, 2]


def test_energy_cut_leaves_hits_out(siw: Geometry) -> None:
    shower = one_hit(siw, [0, 1, 2], [0.1, 1.0, 10.0])
    (scene,), _ = build_scenes([("a", shower, siw)], energy_cut=1.0)
    assert scene.energy.tolist() == [1.0, 10.0]
    assert "2 hits, 11 MeV visible" in scene.subtitle


def test_titles_tell_particle_energy_and_angle(siw: Geometry) -> None:
    straight = one_hit(siw, [0], [1.0], pdg=11)
    tilted = one_hit(siw, [0], [1.0], theta=np.deg2rad(40), phi=np.deg2rad(-90))
    scenes, _ = build_scenes([("a", straight, siw), ("b", tilted, siw)])
    assert [s.title for s in scenes] == ["electron, 50 GeV", "photon, 50 GeV, θ = 40°, φ = -90°"]
    start, end = scenes[1].arrow
    assert end.tolist() == [0, 0, 0]
    assert start[0] < 0 < start[2]  # from the front, and from +y when the particle leans to -y


def test_depth_comes_first(siw: Geometry) -> None:
    cell = 3 * 900 + 7 * 30 + 20
    (scene,), _ = build_scenes([("a", one_hit(siw, [cell], [1.0]), siw)])
    x, y, z = siw.cell_positions[cell]
    np.testing.assert_allclose(scene.position[0], [z, x, y])
    assert scene.layer.tolist() == [3]
    assert scene.cell_names() == ["(7, 20)"]


def test_square_cells_are_blocks_around_their_centres(siw: Geometry) -> None:
    shower = one_hit(siw, [5, 900], [1.0, 10.0])
    (scene,), scale = build_scenes([("a", shower, siw)])
    corners, owner = scene.blocks(scale)
    assert corners.shape == (2, 8, 3)
    assert owner.tolist() == [0, 1]
    np.testing.assert_allclose(corners.mean(axis=1), scene.position, atol=1e-5)
    size = np.ptp(corners, axis=1)
    assert np.all(size[1] > size[0])
    assert size.max() < 5.0883


@pytest.mark.parametrize("name", ["calochallenge-1-photons", "cylinder-ds2", "cylinder-ds3"])
def test_ring_segments_lie_in_their_cells(name: str) -> None:
    geometry = load_geometry(name)
    cells = np.arange(0, geometry.n_cells, max(1, geometry.n_cells // 300))
    shower = one_hit(geometry, cells.tolist(), [1.0] * len(cells))
    (scene,), scale = build_scenes([("a", shower, geometry)])
    corners, owner = scene.blocks(scale)
    lateral = corners[:, :4, 1:].reshape(-1, 2) * 0.999
    layer = np.repeat(scene.layer[owner], 4)
    found = geometry.find_cells(lateral[:, 0], lateral[:, 1], layer)
    inside = found == np.repeat(cells[owner], 4)
    # the innermost edge of a ring of the smallest radius may touch its neighbour when shrunk
    assert inside.mean() > 0.99


def test_a_full_ring_is_closed() -> None:
    geometry = load_geometry("calochallenge-1-photons")
    (scene,), scale = build_scenes([("a", one_hit(geometry, [7], [1.0]), geometry)])
    corners, owner = scene.blocks(scale)
    assert len(corners) == 16
    assert set(owner.tolist()) == {0}
    np.testing.assert_allclose(corners[0, 0], corners[-1, 3], atol=1e-9)


def test_points_outside_of_the_window_are_counted(siw: Geometry) -> None:
    points = np.array([[0, 0, 1.0], [500, 0, 1.0], [0, 0, 500.0]])
    shower = Showers(Incident.of(1e4), np.array([0, 3]), np.ones(3), points=points)
    (scene,), _ = build_scenes([("a", shower, siw)])
    assert len(scene.energy) == 1
    assert "2 outside of the window" in scene.subtitle


def test_wrong_panels(siw: Geometry, toy_cells: Showers) -> None:
    with pytest.raises(DataError, match="at least one"):
        figures_3d([])
    with pytest.raises(DataError, match="expected one"):
        draw_event([("a", toy_cells[0:2], siw)])
    with pytest.raises(GeometryError, match="cylinder-ds2"):
        draw_event([("a", toy_cells[0:1], load_geometry("cylinder-ds2"))])


def test_every_panel_is_a_figure_of_one_scale(panels: list[Panel]) -> None:
    cells, points = figures_3d(panels)
    assert [trace["type"] for trace in cells["data"]] == ["scatter3d", "scatter3d", "mesh3d", "mesh3d"]
    assert [trace["type"] for trace in points["data"]] == ["scatter3d", "scatter3d", "mesh3d", "scatter3d"]
    assert cells["layout"]["coloraxis"] == points["layout"]["coloraxis"]
    json.dumps([cells, points], allow_nan=False)


def test_a_block_is_sent_as_eight_corners(siw: Geometry) -> None:
    shower = one_hit(siw, [5, 900 + 31], [1.0, 10.0])
    mesh = figures_3d([("a", shower, siw)])[0]["data"][-1]
    assert mesh["blocks"]["owner"] == [0, 1]
    assert mesh["blocks"]["intensity"] == [0.0, 1.0]
    assert "10 MeV" in mesh["blocks"]["text"][1]
    assert "layer 1<br>cell (1, 1)" in mesh["blocks"]["text"][1]
    corners = np.array([mesh[axis] for axis in "xyz"]).T.reshape(2, 8, 3)
    centres = siw.cell_positions[[5, 900 + 31]][:, [2, 0, 1]]
    np.testing.assert_allclose(corners.mean(axis=1), centres, atol=1e-3)


def test_many_cells_become_markers() -> None:
    geometry = load_geometry("cylinder-ds3")
    cells = list(range(6001))
    (figure,) = figures_3d([("a", one_hit(geometry, cells, [1.0] * len(cells)), geometry)])
    assert figure["data"][-1]["type"] == "scatter3d"
    assert len(figure["data"][-1]["hovertext"]) == 6001


def test_axes_have_titles_with_units_and_round_numbers(siw: Geometry) -> None:
    (figure,) = figures_3d([("a", one_hit(siw, [0], [1.0]), siw)])
    texts = [annotation["text"] for annotation in figure["layout"]["scene"]["annotations"]]
    assert texts == [
        *("0", "20", "40", "60", "80", "depth [mm]"),
        *("-50", "0", "50", "x [mm]"),
        *("-50", "0", "50", "y [mm]"),
    ]
    assert len(tick_lines(scene_of(siw))) == len(texts) - 3


def test_colour_bar_has_numbers(siw: Geometry) -> None:
    table = turn_table([("a", one_hit(siw, [0, 1], [1.0, 100.0]), siw)])
    low = build_scenes([("a", one_hit(siw, [0, 1], [1.0, 100.0]), siw)])[1].low
    assert [tick.text for tick in table.ticks] == ["5", "10", "20", "50", "100"]
    positions = [np.log(float(tick.text) / low) / np.log(100.0 / low) for tick in table.ticks]
    np.testing.assert_allclose([tick.position for tick in table.ticks], positions)
    assert table.gradient.startswith("linear-gradient(to right, #")


def test_camera_is_as_near_as_the_points_allow() -> None:
    corners = np.stack(np.meshgrid([-1.0, 1.0], [-0.5, 0.5], [-0.4, 0.4]), axis=-1).reshape(-1, 3)
    room = Room(left=0.05, right=0.15, low=0.1, high=0.05)
    for aspect, direction in ((1.5, (1.1, -2.45, 0.8)), (0.4, (1.0, -1.0, 0.1)), (3.0, (-2.0, 1.0, 0.5))):
        camera = fit_camera(corners, direction, aspect=aspect, angle=np.pi / 4, room=room)
        seen = project_points(corners, camera, aspect=aspect, angle=np.pi / 4)
        limits = np.array([[-0.9, 0.7], [-0.8, 0.9]])
        assert np.all(seen.min(axis=0) >= limits[:, 0] - 1e-9)
        assert np.all(seen.max(axis=0) <= limits[:, 1] + 1e-9)
        touched = np.isclose(seen.min(axis=0), limits[:, 0]) & np.isclose(seen.max(axis=0), limits[:, 1])
        assert touched.any()  # the narrower side of the picture is full


def test_camera_sees_a_cube_from_a_distance_that_can_be_computed() -> None:
    corners = np.stack(np.meshgrid(*[[-1.0, 1.0]] * 3), axis=-1).reshape(-1, 3)
    camera = fit_camera(corners, (1, 0, 0), aspect=1.0, angle=np.pi / 2, room=Room(0, 0, 0, 0))
    # the near face fills the picture: at distance one it is seen under 90 degrees
    np.testing.assert_allclose(camera.eye, [2, 0, 0], atol=1e-12)
    np.testing.assert_allclose(camera.centre, 0, atol=1e-12)


@pytest.mark.parametrize("theta", [0.0, 40.0])
@pytest.mark.parametrize("name", ["siw-ecal", "cylinder-ds2", "calochallenge-1-pions", "clic-51x51x25"])
def test_whole_detector_and_particle_are_seen(name: str, theta: float) -> None:
    scene = scene_of(load_geometry(name), theta=np.deg2rad(theta))
    layout = scene_layout(scene)
    camera = Camera(*(np.array(list(layout["camera"][k].values())) for k in ("eye", "center")))
    seen = project_points(seen_points(scene), camera, aspect=STAGE_ASPECT, angle=VIEW_ANGLE)
    assert seen.shape == (10, 2)
    low, high = seen.min(axis=0), seen.max(axis=0)
    assert -0.95 < low[0] < high[0] < 0.64  # at the right the axes have their numbers
    assert -0.81 < low[1] < high[1] < 0.93
    # plotly draws nothing beyond the ranges
    ranges = np.array([layout[f"{axis}axis"]["range"] for axis in "xyz"])
    assert np.all(ranges[:, 0] <= scene.arrow.min(axis=0))
    assert np.all(ranges[:, 1] >= scene.arrow.max(axis=0))


@pytest.mark.parametrize(("showers", "columns"), [(1, 1), (2, 2), (3, 3), (4, 2), (5, 3), (6, 3), (9, 3)])
def test_pictures_stand_in_rows_of_two_or_three(showers: int, columns: int, siw: Geometry) -> None:
    assert row_length(showers) == columns
    figure = draw_event([("a", one_hit(siw, [0], [1.0]), siw)] * showers)
    width, height = figure.get_size_inches()
    assert width == pytest.approx(6.4 * columns + 1.1)
    assert height == pytest.approx(4.8 * -(-showers // columns))


def test_page_stands_alone(panels: list[Panel]) -> None:
    page = html_page(panels, title="a & b")
    assert page.startswith("<!DOCTYPE html>")
    assert "<title>a &amp; b</title>" in page
    assert '<script type="text/plain" id="plotly">' in page  # text: nothing is run before it is needed
    assert page.index('class="turn') < page.index("plotly.js v")
    # markup outside of the scripts asks for nothing
    markup = re.sub(r"<script[^>]*>.*?</script>", "", page, flags=re.DOTALL)
    assert re.findall(r"""(?:src|href)\s*=\s*["'](?!data:)""", markup) == []
    assert "<script src" not in page
    assert "@import" not in markup
    assert "url(" not in markup


def test_stages_stand_two_or_three_in_a_row_and_one_on_a_phone(panels: list[Panel]) -> None:
    page = html_page(panels * 3)
    assert "grid-template-columns: repeat(auto-fill, minmax(min(100%, 22.5rem), 1fr))" in page
    assert f"aspect-ratio: {STAGE_ASPECT * 2:g} / 2" in page
    assert page.count('<div class="stage">') == 6
    assert '<div class="turn">' in page
    assert '<div class="turn few">' in html_page(panels)


def test_showers_in_a_page_are_data_that_cannot_end_a_script(panels: list[Panel], siw: Geometry) -> None:
    table = turn_table(panels)
    assert [fragment.label for fragment in table.fragments] == ["Geant4 <1>", "cloud"]
    for fragment in table.fragments:
        assert len(fragment.figure) < 1_000_000
        assert "<" not in fragment.figure
        assert set(json.loads(fragment.figure)) == {"data", "layout"}
    assert "Geant4 &lt;1&gt;" in html_page(panels)
    hits = len(figures_3d(panels)[0]["data"][-1]["blocks"]["owner"])
    assert len(table.fragments[0].figure) < 5_000 + 350 * hits


def test_pictures_are_not_blank(panels: list[Panel]) -> None:
    both, one = pixels(panels), pixels(panels[:1])
    assert both.shape[1] > 1.7 * one.shape[1]
    half = both.shape[1] // 2
    for part in (both[:, :half], both[:, half:]):
        assert np.mean(part[..., :3].min(axis=-1) < WHITE) > 0.03
    assert len(np.unique(one[..., :3].reshape(-1, 3), axis=0)) > 200


def test_pictures_are_drawn_inside_of_the_reports_style(panels: list[Panel]) -> None:
    with style():
        assert pixels(panels).min() < 0.5


def test_picture_differs_with_the_shower(toy_cells: Showers, siw: Geometry) -> None:
    first, second = (pixels([("a", toy_cells[i : i + 1], siw)]) for i in (0, 1))
    assert np.abs(first - second).max() > 0.2


@pytest.mark.parametrize("name", ["siw-ecal", "cylinder-ds2", "calochallenge-1-pions", "clic-51x51x25"])
def test_empty_showers_are_drawn(name: str, tmp_path: Path) -> None:
    geometry = load_geometry(name)
    empty = one_hit(geometry, [], [])
    save_display([("none", empty, geometry)], tmp_path / "f.html")
    assert pixels([("none", empty, geometry)]).min() < 0.5


def test_pyplot_keeps_out_of_it(panels: list[Panel]) -> None:
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    before = dict(mpl.rcParams)
    draw_event(panels)
    assert plt.get_fignums() == []
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("ending", ["html", "png", "svg", "pdf"])
def test_files(ending: str, panels: list[Panel], tmp_path: Path) -> None:
    path = tmp_path / f"event.{ending}"
    save_display(panels, path, dpi=40)
    assert path.stat().st_size > 5_000
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(OutputError, match="--force"):
        save_display(panels, path)
    save_display(panels[:1], path, dpi=40, force=True)


def test_unknown_ending(panels: list[Panel], tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"\.html"):
        save_display(panels, tmp_path / "event.jpeg")


def test_challenge_voxels_after_projection(toy_showers: Showers) -> None:
    geometry = load_geometry("cylinder-ds2")
    shower = project(toy_showers, geometry)[0:1]
    (figure,) = figures_3d([("a", shower, geometry)])
    assert figure["layout"]["coloraxis"]["cmin"] < figure["layout"]["coloraxis"]["cmax"]
    far = replace(shower, incident=Incident.of(1e6))
    assert "1,000 GeV" in turn_table([("a", far, geometry)]).fragments[0].title
