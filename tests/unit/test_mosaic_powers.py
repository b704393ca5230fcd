from __future__ import annotations

import numpy as np
import pytest

from caloforge.models.mosaic.powers import fit_powers


def test_powers_of_means_are_found() -> None:
    rng = np.random.default_rng(1)
    energy = rng.uniform(10.0, 100.0, 4000)
    means = np.column_stack([20 * (energy / 50) ** p for p in (0.0, 0.5, 1.1)])
    found = fit_powers(energy, rng.poisson(means).astype(float))
    # a Poisson slope has 1 / sqrt(total var(ln E)) = 1 / sqrt(80000 x .35) = .006
    assert found == pytest.approx([0.0, 0.5, 1.1], abs=0.02)
    assert fit_powers(energy, means) == pytest.approx([0.0, 0.5, 1.1], abs=1e-4)


def test_where_nothing_tells_it_is_three_quarters() -> None:
    energy = np.array([10.0, 20.0, 40.0])
    found = fit_powers(energy, np.array([[0.0, 1.0], [0.0, 2.0], [0.0, 4.0]]))
    assert found[0] == 0.75
    assert 0.75 < found[1] < 1.0  # seven counts against the usual power
    assert fit_powers(np.full(5, 50.0), np.ones((5, 1))).tolist() == [0.75]
    falling = fit_powers(energy, np.array([[4e6], [2e6], [1e6]]))
    assert falling.tolist() == [0.0]
