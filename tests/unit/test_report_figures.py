"""The report's figures: which are drawn from what, that files repeat, that missing metrics leave no hole."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import matplotlib.image
import numpy as np
import pytest
from matplotlib.legend import Legend

from caloforge.evaluation import evaluate
from caloforge.evaluation.results import MetricResult
from caloforge.geometry import project
from caloforge.report.cells import cell_plots
from caloforge.report.classifiers import classifier_plots
from caloforge.report.correlations import layer_correlation, layer_pearson
from caloforge.report.costs import cost_plots
from caloforge.report.curves import Curve
from caloforge.report.deviations import deviation_plots
from caloforge.report.drawing import all_plots, draw_all
from caloforge.report.leaderboard import leaderboard
from caloforge.report.page import page_html
from caloforge.report.panels import make_panels
from caloforge.report.ratio import Axis, ratio_figure
from caloforge.report.response import response_plots
from caloforge.report.samples import common_edges, recorded_curve
from caloforge.report.style import pdf, png, style
from caloforge.showers import Incident, Showers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from caloforge.evaluation.outcome import Evaluation
    from caloforge.geometry import Geometry
    from caloforge.report.plot import Plot


@pytest.fixture(scope="module")
def evaluation(make_toy_showers: Callable[..., Showers], siw: Geometry) -> Evaluation:
    """Two models, one with a name that would be markup; fast metrics of the papers, no classifiers."""
    models = {"<b>": project(make_toy_showers(110, seed=2), siw), "other": make_toy_showers(110, seed=3)}
    return evaluate(make_toy_showers(120, seed=1), models, geometry=siw)


def given(
    evaluation: Evaluation, *, name: str, group: str, value: float | None = 0.7, **settings: Any
) -> Any:
    """The evaluation with this result of every model and no other."""
    result = MetricResult(
        name=name,
        title=f"title of {name}",
        group=group,  # type: ignore[arg-type]
        value=value,
        error=0.02,
        floor=0.5,
        floor_error=0.02,
        n_reference=120,
        n_generated=110,
        seed=1,
        settings=settings,
        version="1",
    )
    return replace(evaluation, results={s.name: (result,) for s in evaluation.generated})


def keys(plots: Iterator[Plot]) -> list[str]:
    with style():
        return [plot.key for plot in plots]


def pixels(content: bytes) -> np.ndarray:
    return matplotlib.image.imread(io.BytesIO(content))


def ratio_axes(figure: Figure) -> tuple[Axes, Axes]:
    """The values, and the ratios below them."""
    bottom, top = sorted(figure.axes, key=lambda axes: axes.get_position().y0)
    return top, bottom


def legend_texts(axes: Axes) -> list[str]:
    """The curves, then what is marked."""
    names = [[text.get_text() for text in legend.get_texts()] for legend in axes.findobj(Legend)]
    own = [text.get_text() for text in axes.get_legend().get_texts()]
    return [*own, *(text for found in names if found != own for text in found)]


def test_all_figures_are_made(evaluation: Evaluation) -> None:
    plots = {plot.key: (plot.columns, plot.caption, plot.section) for plot in all_plots(evaluation)}
    wanted = {
        *("visible", "hits", "longitudinal", "radial", "layer_hits", "sparsity", "cell_energy"),
        *("regime_low", "regime_high", "sparsity_by_threshold", "linearity", "resolution", "deviations"),
        *("depth_by_energy", "layer_pearson", "layer_correlation", "observable_correlation"),
        *("image_lateral", "image_depth", "event_0", "event_2"),
    }
    assert wanted <= set(plots)
    assert "fraction_by_angle" not in plots
    assert all(caption.endswith(".") for _, caption, _ in plots.values())
    assert plots["layer_pearson"][0] == 3
    sections = list(dict.fromkeys(section for *_, section in plots.values()))
    assert sections == [
        "Showers",
        "Profiles",
        "Layers",
        "Cells",
        "Response",
        "Depth and width",
        "Texture",
        "Shower shapes (3DGAN)",
        "Correlations",
        "Images",
        "Broken showers",
        "Events",
    ]


def test_the_physics_is_drawn_with_its_errors_and_ratios(evaluation: Evaluation) -> None:
    plots = {plot.key: plot for plot in all_plots(evaluation)}
    shapes = ("mean_layer", "layer_length", "last_third", "core_share", "r50", "r90", "isolated")
    wanted = {"weighted_response", "weighted_resolution", "conversion", "hits_by_visible", "layer_residuals"}
    assert wanted | {f"shape_{name}" for name in shapes} <= set(plots)
    values, ratios = ratio_axes(plots["weighted_resolution"].figure)
    assert (values.get_ylabel(), ratios.get_ylabel()) == (r"$\sigma_{68}$ / mean [%]", "ratio")
    recorded = next(r for r in evaluation.results["other"] if r.name == "physics.response").settings
    sigma = 100 * np.array(recorded["generated"]["sigma68"])
    drawn = {bars.get_label(): bars for bars in values.containers}
    np.testing.assert_allclose(drawn["other"].lines[0].get_ydata(), sigma)


def test_showers_outside_of_the_range_are_shown_worst_first(evaluation: Evaluation) -> None:
    for sample in evaluation.generated:
        beyond = [odd.beyond for odd, _ in sample.odd]
        assert 0 < len(beyond) <= 3
        assert beyond == sorted(beyond, reverse=True)
        for odd, shower in sample.odd:
            assert shower.incident.energy[0] == sample.table["energy"][odd.number]
            assert len(shower.energy) == sample.table["hits"][odd.number]
    titles = [plot.caption for plot in all_plots(evaluation) if plot.section == "Broken showers"]
    assert len(titles) == 2
    assert "<b>" in titles[0]


def test_pictures_know_their_size(evaluation: Evaluation, tmp_path: Path) -> None:
    picture = next(draw_all(evaluation, tmp_path))
    content = (tmp_path / f"{picture.key}.png").read_bytes()
    assert pixels(content).shape[:2] == (picture.height, picture.width)
    assert (tmp_path / f"{picture.key}.pdf").read_bytes().startswith(b"%PDF")
    assert picture.uri.startswith("data:image/png;base64,")


def test_files_repeat_byte_by_byte(evaluation: Evaluation) -> None:
    def drawn() -> list[tuple[bytes, bytes]]:
        with style():
            return [(png(plot.figure), pdf(plot.figure)) for plot in deviation_plots(evaluation)]

    first, second = drawn(), drawn()
    assert first == second
    assert all(b"CreationDate" not in vectors for _, vectors in first)
    assert all(vectors.startswith(b"%PDF") and len(vectors) < 300_000 for _, vectors in first)


def test_nothing_breaks_without_metrics(evaluation: Evaluation) -> None:
    empty = replace(evaluation, results={sample.name: () for sample in evaluation.generated})
    assert keys(deviation_plots(empty)) == []
    assert keys(classifier_plots(empty)) == []
    assert keys(cost_plots(empty)) == []
    assert "linearity" not in keys(response_plots(empty))
    assert "sparsity_by_threshold" not in keys(cell_plots(empty))


def test_headline_is_a_plain_answer_for_every_model(evaluation: Evaluation) -> None:
    page = page_html(given(evaluation, name="auc.x", group="classifier", value=0.7), [])
    top = page[page.index('id="answer"') : page.index('id="summary"')]
    assert "Can a classifier tell it from Geant4?" in top
    assert "&lt;b&gt;: <b>Yes</b>: auc.x 0.700 ± 0.020, floor 0.500 ± 0.020 (title of auc.x)." in top
    assert top.count("<b>Yes</b>") == 2


def test_library_stands_after_everything_that_is_read(evaluation: Evaluation) -> None:
    page = page_html(evaluation, [])
    library = page.index('<script type="text/plain" id="plotly">')
    assert page.index("</main>") < library
    assert "plotly.js v" not in page[:library]
    assert page.count('<div class="stage">') == 3


def test_page_says_why_numbers_are_missing_and_escapes_names(evaluation: Evaluation) -> None:
    nothing = given(evaluation, name="network", group="classifier", value=None)
    few = {name: (replace(r[0], note="Too few showers."),) for name, r in nothing.results.items()}
    page = page_html(replace(evaluation, results=few), [])
    assert "Too few showers." in page
    assert "<h1>&lt;b&gt;, other against Geant4</h1>" in page
    assert "None" not in page[: page.index("<script>")]
    assert 'id="leaderboard"' not in page
    assert page.count("another data set; not comparable") == 5


def test_leaderboard_stands_beside_on_official_files(evaluation: Evaluation) -> None:
    sums = leaderboard()["sets"]["calochallenge-2"]["evaluation"]
    settings = {
        **evaluation.settings,
        "reference": {**evaluation.settings["reference"], "md5": sums},
        "geometry": {**evaluation.settings["geometry"], "data_set": "calochallenge-2"},
    }
    official = replace(
        given(evaluation, name="auc.low", group="classifier", value=0.75),
        settings=settings,
        geometry=evaluation.geometry.model_copy(update={"name": "calochallenge-2"}),
    )
    page = page_html(official, [])
    board = page[page.index('id="leaderboard"') : page.index('id="turn"')]
    assert board.index("conv. L2LFlows") < board.index("&lt;b&gt;") < board.index("iCaloFlow teacher")
    assert "CaloChallenge, Data set 2, electrons" not in page
    assert page.count("another data set; not comparable") == 4


def test_classifiers_draw_what_they_recorded(evaluation: Evaluation) -> None:
    roc = {"false_positive": [0.0, 0.2, 1.0], "true_positive": [0.0, 0.7, 1.0]}
    sizes = {"showers": [50, 100], "auc": [0.6, 0.7], "error": [0.05, None]}
    both = given(evaluation, name="auc.x", group="classifier", roc=roc, by_size=sizes)
    assert keys(classifier_plots(both)) == ["roc", "auc_by_size"]
    posterior = given(evaluation, name="log_posterior.x", group="classifier", value=-0.9, chance=-0.69)
    assert keys(classifier_plots(posterior)) == ["log_posterior_x"]


def test_times_are_drawn_where_they_are_known(evaluation: Evaluation) -> None:
    first, second = (
        given(evaluation, name=f"cost.time_batch_{size}_threads_1", group="cost", value=10.0 / size)
        for size in (1, 100)
    )
    area = given(evaluation, name="auc.high", group="classifier")
    assert keys(cost_plots(first)) == ["time"]
    known = {
        name: (*first.results[name], *second.results[name], *area.results[name]) for name in first.results
    }
    assert keys(cost_plots(replace(evaluation, results=known))) == ["time", "quality_by_time"]
    alone = {**known, "other": area.results["other"]}
    assert keys(cost_plots(replace(evaluation, results=alone))) == ["time"]


def test_angles_have_figures(make_toy_showers: Callable[..., Showers], siw: Geometry) -> None:
    def tilted(seed: int) -> Showers:
        showers = make_toy_showers(80, seed=seed)
        theta = np.random.default_rng(seed).uniform(0.0, 1.0, len(showers))
        incident = Incident.of(showers.incident.energy, theta=theta)
        return replace(showers, incident=incident)

    evaluation = evaluate(tilted(1), {"a": tilted(2)}, geometry=siw)
    found = keys(response_plots(evaluation))
    assert {"fraction_by_angle", "measured_angle", "angle_residual"} <= set(found)


def test_ratio_figure_shows_every_model() -> None:
    edges = np.array([1.0, 2.0, 4.0, 8.0])
    reference = Curve(np.array([1.0, 2.0, 1.0]), np.full(3, 0.1))
    for axis in (Axis("x", "y"), Axis("x", "y", log_x=True, log_y=True), Axis("x", "y", points=True)):
        with style():
            models = {"a": Curve(np.array([1.1, np.nan, 1.2]), np.full(3, 0.1)), "b": reference}
            figure = ratio_figure(edges, reference, models, axis)
            top, bottom = ratio_axes(figure)
            labels = legend_texts(top)
            picture = pixels(png(figure))
        assert labels[:3] == ["Geant4", "a", "b"]
        low, high = bottom.get_ylim()
        assert low < 0.9
        assert high > 1.1
        assert picture[..., :3].std() > 0.1


def test_ratios_beyond_the_axis_become_arrows() -> None:
    """Nine tenths decide on the range: 0.98 times 0.5 around one here; the rest lies beyond."""
    edges = np.arange(21.0)
    reference = Curve(np.full(20, 100.0), np.full(20, 1.0))
    values = np.full(20, 130.0)
    values[3], values[7] = 300.0, 0.0
    with style():
        figure = ratio_figure(edges, reference, {"a": Curve(values, np.full(20, 1.0))}, Axis("x", "y"))
    top, bottom = ratio_axes(figure)
    assert bottom.get_ylim() == pytest.approx((0.51, 1.49))
    marks = {line.get_marker(): line.get_xydata() for line in bottom.lines if line.get_marker() in ("^", "v")}
    np.testing.assert_allclose(marks["^"], [[3.5, 1.0 + 0.49 * 0.93]])
    np.testing.assert_allclose(marks["v"], [[7.5, 1.0 - 0.49 * 0.93]])
    assert legend_texts(top) == ["Geant4", "a", "ratio beyond the axis"]


def test_bins_without_a_ratio_are_hatched() -> None:
    edges = np.arange(5.0)
    reference = Curve(np.array([0.0, 0.0, 4.0, 1.0]), np.array([0.0, 0.0, 0.4, 0.8]))
    model = Curve(np.array([0.0, 2.0, 4.0, 1.0]), np.full(4, 0.1))
    with style():
        figure = ratio_figure(edges, reference, {"a": model}, Axis("x", "y"))
    top, bottom = ratio_axes(figure)
    hatched = sorted(patch.get_extents().x0 for patch in bottom.patches if patch.get_hatch())
    places = bottom.transData.transform([(1.0, 1.0), (3.0, 1.0)])[:, 0]
    # not the first bin, in which nothing is; the last one's error is 80 % of its value
    np.testing.assert_allclose(hatched, places, atol=0.5)
    assert legend_texts(top) == ["Geant4", "a", "no ratio: too little in Geant4"]


@pytest.mark.parametrize(
    "names", [("a",), ("calopointflow-2", "caloclouds-2-cm", "x" * 40), tuple("abcdefgh")]
)
def test_legends_lie_outside_of_the_axes(names: tuple[str, ...]) -> None:
    edges = np.arange(21.0)
    reference = Curve(np.full(20, 100.0), np.r_[np.full(19, 1.0), 90.0])
    models = {name: Curve(np.r_[300.0, np.full(19, 100.0)], np.full(20, 1.0)) for name in names}
    with style():
        figure = ratio_figure(edges, reference, models, Axis("x", "y"))
        figure.canvas.draw()
    top, _ = ratio_axes(figure)
    panel, whole = top.get_window_extent(), figure.bbox
    legends = figure.findobj(Legend)
    assert len(legends) == 2
    for legend in legends:
        box = legend.get_window_extent()
        assert panel.y1 <= box.y0 < box.y1 <= whole.y1
        assert whole.x0 <= box.x0 < box.x1 <= whole.x1
    first, second = sorted((legend.get_window_extent() for legend in legends), key=lambda box: box.y0)
    assert first.y1 <= second.y0 + 1


def test_legends_of_classifiers_lie_below_their_panels(evaluation: Evaluation) -> None:
    sizes = {"showers": [50, 100], "auc": [0.6, 0.7], "error": [0.05, None]}
    roc = {"false_positive": [0.0, 0.2, 1.0], "true_positive": [0.0, 0.7, 1.0]}
    both = given(evaluation, name="auc.x", group="classifier", roc=roc, by_size=sizes)
    with style():
        for plot in classifier_plots(both):
            plot.figure.canvas.draw()
            (axes,) = plot.figure.axes
            box = axes.get_legend().get_window_extent()
            label = axes.xaxis.label.get_window_extent()
            assert plot.figure.bbox.y0 <= box.y0 < box.y1 <= label.y0


def test_errors_stay_positive_beside_a_negative_reference() -> None:
    curve = Curve(np.array([-2.0, 1.0]), np.array([0.5, 0.5])) / np.array([-4.0, 0.0])
    np.testing.assert_array_equal(curve.values, [0.5, np.nan])
    np.testing.assert_array_equal(curve.errors, [0.125, np.nan])


def test_panels_have_one_size_and_room_for_bars() -> None:
    with style():
        panels = make_panels(3, 2, bars=True)
        mesh = panels.axes[0][0].pcolormesh(np.arange(9.0).reshape(3, 3))
        panels.bar(mesh, 0, column=0)
        panels.title("a", 0, 0)
    sizes = {tuple(np.round(axes.get_position().size, 6)) for row in panels.axes for axes in row}
    assert len(sizes) == 1
    bar = panels.figure.axes[-1].get_position()
    assert panels.axes[0][0].get_position().x1 < bar.x0 < bar.x1 < panels.axes[0][1].get_position().x0


def test_correlations_of_layers(evaluation: Evaluation) -> None:
    table = evaluation.reference.table
    energy = table["layer_energy"].astype(np.float64)
    found = layer_pearson(table)
    live = energy.std(axis=0) > 0
    np.testing.assert_allclose(
        found[np.ix_(live, live)], np.corrcoef(energy[:, live], rowvar=False), atol=1e-9
    )
    assert np.nanmax(np.abs(layer_correlation(table))) <= 1 + 1e-9


def test_without_showers_there_is_no_correlation(evaluation: Evaluation) -> None:
    nothing = evaluation.reference.table.select(slice(0, 0))
    assert np.isnan(layer_correlation(nothing)).all()
    assert np.isnan(layer_pearson(nothing)).all()


def test_edges_hold_all_samples_and_follow_the_showers(evaluation: Evaluation) -> None:
    edges, log = common_edges(evaluation, lambda table: table["hits"])
    assert not log
    assert len(edges) - 1 == 16
    assert edges[-1] >= np.quantile(evaluation.generated[1].table["hits"], 0.99)
    wide, is_log = common_edges(evaluation, lambda table: np.geomspace(1.0, 1e4, len(table)))
    assert is_log
    np.testing.assert_allclose(np.diff(np.log(wide)), np.log(wide[1] / wide[0]))


def test_recorded_numbers_may_be_missing() -> None:
    curve = recorded_curve([1.0, None], [None, 0.2])
    np.testing.assert_array_equal(curve.values, [1.0, np.nan])
    np.testing.assert_array_equal(curve.errors, [0.0, 0.2])
    np.testing.assert_array_equal(recorded_curve([2.0]).errors, [0.0])
