"""Boosted trees against scikit-learn's, the compiled engine against numpy, and a tree by hand."""

from __future__ import annotations

from threading import Event

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_auc_score

from caloforge.evaluation.classify.boosting import bin_edges, binned, boost, logistic
from caloforge.evaluation.classify.calibration import area, calibrated
from caloforge.evaluation.classify.growing import ENGINE, Growth, Table, grow, grow_in_numpy
from caloforge.models.mosaic import native

F = np.float32
compiled = pytest.mark.skipif(not native.available(), reason="the engine is not compiled")


def samples(seed: int, rows: int, columns: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Inputs of all kinds: smooth, whole numbers, constant, with many equal ones."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, columns))
    x[:, 1] = rng.integers(0, 9, rows)
    x[:, 2] = 3.0
    x[:, 3] = np.maximum(x[:, 3], 0.5)
    y = (x[:, 0] + 0.4 * x[:, 1] * x[:, 4] + rng.normal(size=rows) > 0).astype(float)
    return x, y


@pytest.mark.parametrize(("rows", "share"), [(30, 0.3), (300, 1.0), (900, 0.3)])
def test_scores_are_those_of_scikit_learn(rows: int, share: float) -> None:
    x, y = samples(rows, 2 * rows)
    theirs = HistGradientBoostingClassifier(
        max_iter=40,
        max_leaf_nodes=15,
        max_features=share,
        max_bins=31,
        early_stopping=False,
        random_state=7,
    ).fit(x[:rows], y[:rows])
    ours = boost(x[:rows], y[:rows], trees=40, leaves=15, bins=31, rate=0.1, share=share, seed=7)
    expected = theirs.predict_proba(x[rows:])[:, 1]
    np.testing.assert_allclose(logistic(ours.logits(x[rows:])), expected, rtol=0, atol=1e-12)


@compiled
@pytest.mark.parametrize("seed", range(4))
def test_the_engine_is_numpy_bit_for_bit(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = samples(seed, 40 + 300 * seed)
    settings = {"trees": 15, "leaves": 2 + 9 * seed, "bins": 31, "rate": 0.1, "share": 0.5, "seed": seed}
    native_trees = boost(x, y, **settings).trees
    monkeypatch.setenv(ENGINE, "numpy")
    for one, other in zip(native_trees, boost(x, y, **settings).trees, strict=True):
        for ours, theirs in zip(one, other, strict=True):
            assert np.array_equal(ours, theirs)
            assert np.asarray(ours).dtype == np.asarray(theirs).dtype


@pytest.mark.parametrize("grown", [pytest.param(grow, marks=compiled), grow_in_numpy])
def test_a_tree_by_hand(grown: object) -> None:
    # gradients -1/2 and 1/2, hessians 1/4: the best cut parts them; Newton's steps are 2 and -2
    bins = np.array([[0, 1, 1, 0, 2, 0], [0, 0, 0, 1, 1, 1]], np.uint8)
    gradient = np.array([-0.5, -0.5, -0.5, 0.5, 0.5, 0.5], F)
    table = Table(bins, np.array([3, 2], np.int32), gradient, np.full(6, 0.25, F))
    everything = np.ones((7, 2), bool)
    tree = grown(table, everything, Growth(width=3, leaves=4, fewest=1))
    assert tree.column.tolist() == [1, -1, -1]
    assert tree.bin[0] == 0
    assert tree.kid[0] == 1
    np.testing.assert_allclose(tree.value, [0.0, 2.0, -2.0], rtol=1e-12)
    assert tree.leaf.tolist() == [1, 1, 1, 2, 2, 2]
    assert tree.leaf_of(np.array([[2, 0], [0, 1]], np.uint8)).tolist() == [1, 2]
    # of the first input alone, the cut after bin 1: gains (1/2)^2/(5/4) + (1/2)^2/(1/4) - 0, or
    # after bin 0: (1/2)^2/(3/4) + (1/2)^2/(3/4)
    mask = everything & [True, False]
    first = grown(table, mask, Growth(3, 2, 1))
    assert (first.column[0], first.bin[0]) == (0, 1)
    # leaves of two rows at least
    assert grown(table, mask, Growth(3, 2, 2)).bin[0] == 0
    assert grown(table, mask, Growth(3, 2, 4)).column.tolist() == [-1]


@compiled
def test_the_engine_refuses_what_does_not_fit() -> None:
    table = Table(np.zeros((1, 6), np.uint8), np.array([1], np.int32), np.zeros(6, F), np.zeros(6, F))
    masks = np.ones((3, 1), bool)
    for broken in (
        table._replace(bins=np.full((1, 6), 4, np.uint8)),
        table._replace(used=np.array([9], np.int32)),
        table._replace(gradient=np.zeros(5, F)),
    ):
        with pytest.raises(ValueError, match=r"boosted tree|same rows"):
            grow(broken, masks, Growth(2, 2))
    with pytest.raises(ValueError, match="boosted tree"):
        grow(table, masks[:1], Growth(2, 2))


def test_edges_of_bins() -> None:
    assert bin_edges(np.array([3.0, 1.0, 1.0, 2.0]), 3).tolist() == [1.5, 2.5]
    assert bin_edges(np.full(5, 2.0), 3).tolist() == []
    # quartiles of 1 ... 8 lie between two of them
    assert bin_edges(np.arange(1.0, 9.0), 4).tolist() == [2.5, 4.5, 6.5]
    assert binned(np.array([[2.5], [2.6], [-1.0]]), [np.array([2.5, 4.5])]).tolist() == [[0, 1, 0]]


def test_trees_stop_growing_when_told() -> None:
    x, y = samples(1, 60)
    stop = Event()
    stop.set()
    assert boost(x, y, trees=9, leaves=4, bins=31, rate=0.1, share=1.0, seed=1, stop=stop).trees == []


def test_areas_and_calibration_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, 400)
    scores = (rng.normal(size=400) + labels).round(1)  # with ties
    assert area(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-14)
    assert area(np.array([0, 1, 1]), np.array([0.0, 0.0, 1.0])) == 0.75
    model = IsotonicRegression(out_of_bounds="clip", y_min=1e-6, y_max=1 - 1e-6)
    expected = model.fit(logistic(scores), labels).predict(logistic(3 * scores))
    np.testing.assert_allclose(calibrated(scores, labels, 3 * scores), expected, atol=1e-12)


@compiled
def test_an_older_engine_is_said_and_numpy_grows_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    x, y = samples(4, 80)
    settings = {"trees": 3, "leaves": 4, "bins": 9, "rate": 0.1, "share": 1.0, "seed": 1}
    expected = boost(x, y, **settings).logits(x)
    monkeypatch.delattr("caloforge._engine.boost_tree")
    found = boost(x, y, **settings).logits(x)
    assert np.array_equal(found, expected)
    assert "run `make venv`" in caplog.text
