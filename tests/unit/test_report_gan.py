"""3DGAN's figures: shapes, moments, angles, rates, kinds of particles, single showers on three planes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from caloforge.evaluation import evaluate
from caloforge.geometry import load_geometry, to_dense
from caloforge.report.correlations import correlation_plots
from caloforge.report.deviations import deviation_plots
from caloforge.report.downstream import downstream_plots
from caloforge.report.gan import gan_plots
from caloforge.report.kinds import kind_plots
from caloforge.report.projections import projection_plots
from caloforge.report.style import style
from caloforge.showers import Incident, ShowerMeta, Showers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from caloforge.evaluation.outcome import Evaluation
    from caloforge.evaluation.results import MetricResult
    from caloforge.geometry import Geometry
    from caloforge.report.plot import Plot


def showers(geometry: Geometry, count: int, *, seed: int) -> Showers:
    """Clouds along their particles, which lean to both sides of y; every third, a photon, starts later."""
    rng = np.random.default_rng(seed)
    lean, hits = rng.uniform(-0.5, 0.5, count), 80
    photon = np.arange(count) % 3 == 0
    layer = np.minimum(rng.gamma(4.0, 2.0, (count, hits)) + photon[:, None], 24).astype(int)
    z = geometry.layer_z[layer]
    x, y = rng.normal(0, 12, (2, count, hits))
    y += z * np.tan(lean)[:, None]
    cells = geometry.find_cells(x.ravel(), y.ravel(), layer.ravel())
    keys, index = np.unique(
        np.repeat(np.arange(count), hits) * geometry.n_cells + np.maximum(cells, 0), return_inverse=True
    )
    energy = np.bincount(index, weights=rng.exponential(5.0, count * hits))
    return Showers(
        incident=Incident.of(
            rng.uniform(1e4, 1e5, count),
            theta=np.abs(lean),
            phi=np.where(lean < 0, 1.5 * np.pi, 0.5 * np.pi),
            pdg=np.where(photon, 22, 11),
        ),
        offsets=np.concatenate([[0], np.cumsum(np.bincount(keys // geometry.n_cells, minlength=count))]),
        energy=energy,
        cells=keys % geometry.n_cells,
        meta=ShowerMeta(geometry=geometry.name, fingerprint=geometry.fingerprint),
    )


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    """Fast metrics of two samples of one kind of showers."""
    geometry = load_geometry("clic-17x17x25")
    first, second = (showers(geometry, 180, seed=seed) for seed in (1, 2))
    return evaluate(first, {"mine": second}, geometry=geometry, threads=1)


def drawn(make: Callable[[Evaluation], Iterator[Plot]], evaluation: Evaluation) -> dict[str, Plot]:
    with style():
        return {plot.key: plot for plot in make(evaluation)}


def step_values(plot: Plot, name: str) -> Any:
    [patch] = [p for axes in plot.figure.axes for p in axes.patches if p.get_label() == name]
    return patch.get_data().values  # type: ignore[attr-defined]


def result(evaluation: Evaluation, name: str, **settings: Any) -> MetricResult:
    """Any number with these settings."""
    known = next(r for r in evaluation.results["mine"] if r.name == "physics.3dgan_shape_x")
    return replace(known, name=name, settings=settings)


def test_shapes_are_drawn_in_bins_of_angle_and_energy(evaluation: Evaluation) -> None:
    plots = drawn(gan_plots, evaluation)
    expected = {f"3dgan_shape_{axis}_{number}" for axis in "yz" for number in range(3)}
    expected |= {"3dgan_shape_x_all", "3dgan_angle"}
    expected |= {"3dgan_moment2_y", "3dgan_moment3_y", "3dgan_moment2_z"}
    assert set(plots) == expected
    table = evaluation.generated[0].table
    lean = table["theta"] * np.sin(table["phi"])
    edges = evaluation.results["mine"]
    edges = next(r for r in edges if r.name == "physics.3dgan_shape_y").settings["angle_edges"]
    chosen = table["profile_y"][(lean >= edges[2]) & (lean < edges[3])]
    np.testing.assert_allclose(step_values(plots["3dgan_shape_y_2"], "mine"), chosen.mean(axis=0), rtol=1e-5)
    assert "to 28.4 degrees" in plots["3dgan_shape_y_2"].caption


def test_the_measured_angle_has_the_sign_of_the_true_one(evaluation: Evaluation) -> None:
    figure = drawn(gan_plots, evaluation)["3dgan_angle"].figure
    bars = next(c for axes in figure.axes for c in axes.containers if c.get_label() == "mine")
    measured = np.asarray(bars.lines[0].get_ydata())
    assert np.all(np.diff(measured) > 0)
    assert measured[0] < -15 < 15 < measured[-1]


def test_rates_of_rare_showers_by_energy(evaluation: Evaluation) -> None:
    """As the metric records them, which needs 200 showers."""
    rates = [{"rate": 0.04, "error": 0.01}, {"rate": None, "error": None}]
    settings = {
        "energy_bins": [[1e4, 5e4], [5e4, 1e5]],
        "reference_by_energy": rates,
        "generated_by_energy": [{"rate": 0.01, "error": 0.005}, {"rate": 0.02, "error": 0.005}],
    }
    early = result(evaluation, "physics.3dgan_early", **settings)
    plots = drawn(gan_plots, replace(evaluation, results={"mine": (early,)}))
    axes = plots["3dgan_early"].figure.axes
    bars = next(c for a in axes for c in a.containers if c.get_label() == "mine")
    np.testing.assert_allclose(bars.lines[0].get_ydata(), [1.0, 2.0])
    assert "3dgan_late" not in plots


def test_kinds_stand_side_by_side_in_every_sample(evaluation: Evaluation) -> None:
    plots = drawn(kind_plots, evaluation)
    assert set(plots) == {"3dgan_kinds_first_part", "3dgan_kinds_cog_z", "3dgan_kinds_fraction"}
    panels = plots["3dgan_kinds_first_part"].figure.axes
    assert [axes.get_title(loc="left") for axes in panels] == ["Geant4", "mine"]
    assert [text.get_text() for text in panels[0].get_legend().get_texts()] == ["e-", "gamma"]
    assert panels[0].get_ylim() == panels[1].get_ylim()
    table = evaluation.generated[0].table
    photons = table["first_part"][table["pdg"] == 22]
    patch = next(p for p in panels[1].patches if p.get_label() == "gamma")
    values, edges, _ = patch.get_data()  # type: ignore[attr-defined]
    np.testing.assert_allclose(values, np.histogram(photons, edges)[0] / len(photons))


def test_one_kind_and_rings_have_no_such_figures(
    make_toy_showers: Callable[..., Showers], siw: Geometry
) -> None:
    alone = evaluate(make_toy_showers(60, seed=1), {"b": make_toy_showers(60, seed=2)}, geometry=siw)
    assert drawn(kind_plots, alone) == {}
    assert "3dgan_angle" not in drawn(gan_plots, alone)
    assert "3dgan_shape_y_0" in drawn(gan_plots, alone)
    assert "3dgan_shape_y_1" not in drawn(gan_plots, alone)


def test_single_showers_on_three_planes(evaluation: Evaluation) -> None:
    plots = drawn(projection_plots, evaluation)
    assert set(plots) == {f"3dgan_projections_{key}" for key in ("low", "high", "early")}
    figure, geometry = plots["3dgan_projections_high"].figure, evaluation.geometry
    [first] = [axes for axes in figure.axes if axes.get_title(loc="left").startswith("mine: ")]
    image = to_dense(evaluation.generated[0].examples[-1], geometry)[0]
    shown = np.ma.filled(first.collections[0].get_array(), np.nan)
    np.testing.assert_allclose(np.nan_to_num(shown), image.sum(axis=1).T, rtol=1e-6)
    assert (first.get_xlabel(), first.get_ylabel()) == ("layer", "y [mm]")


def test_the_earliest_shower_is_an_electron_of_high_energy(evaluation: Evaluation) -> None:
    for sample in (evaluation.reference, *evaluation.generated):
        table, early = sample.table, sample.early
        assert early is not None
        electrons = table["pdg"] == 11
        high = electrons & (table["energy"] >= np.median(table["energy"][electrons]))
        chosen = np.flatnonzero(high)[table["early_share"][high].argmax()]
        assert early.incident.energy[0] == table["energy"][chosen]


def test_correlations_and_deviations_tell_the_side(evaluation: Evaluation) -> None:
    assert "3dgan_correlation" in drawn(correlation_plots, evaluation)
    axes = drawn(deviation_plots, evaluation)["deviations"].figure.axes[0]
    names = [text.get_text() for text in axes.get_xticklabels()]
    assert len(names) == 15
    assert "-" in names[0].split(", ")[1].split(" to ")[0]
    assert names[0].count("to -") == 1


def test_reconstructions_by_energy(evaluation: Evaluation) -> None:
    """Geant4's own in black, the other three ways in colour; a bin with few showers has no point."""
    ways = ("g4_to_g4", "gen_to_g4", "g4_to_gen", "gen_to_gen")
    results = [
        result(
            evaluation, f"downstream.energy_{what}_{way}", by_energy=numbers, energy_edges_mev=[1e4, 5e4, 1e5]
        )
        for what, numbers in (("resolution", [0.05, 0.03]), ("bias", [-0.01, None]))
        for way in ways
    ]
    plots = drawn(downstream_plots, replace(evaluation, results={"mine": tuple(results)}))
    assert list(plots) == ["downstream_energy_resolution_0", "downstream_energy_bias_0"]
    bars = {c.get_label(): c for a in plots["downstream_energy_bias_0"].figure.axes for c in a.containers}
    assert "generated, tested on Geant4" in bars
    np.testing.assert_allclose(bars["generated, both"].lines[0].get_ydata(), [99.0, np.nan])
    assert "mine" in plots["downstream_energy_bias_0"].caption
    assert drawn(downstream_plots, replace(evaluation, results={"mine": tuple(results[:1])})) == {}


def test_examples_of_models_are_near_those_of_the_reference(evaluation: Evaluation) -> None:
    """In energy and direction, and of the same kind."""
    table = evaluation.generated[0].table
    for first, second in zip(evaluation.reference.examples, evaluation.generated[0].examples, strict=True):
        one, two = first.incident, second.incident
        assert one.pdg[0] == two.pdg[0]
        incident = Incident.of(table["energy"], theta=table["theta"], phi=table["phi"], pdg=table["pdg"])
        aside = np.linalg.norm(incident.direction - one.direction[0], axis=1)
        far = np.abs(incident.energy / one.energy[0] - 1) + aside + 10 * (incident.pdg != one.pdg[0])
        assert two.energy[0] == incident.energy[far.argmin()]
    energies = [shower.incident.energy[0] for shower in evaluation.reference.examples]
    expected = np.quantile(evaluation.reference.table["energy"], [0.15, 0.5, 0.9])
    np.testing.assert_allclose(energies, expected, rtol=0.02)
