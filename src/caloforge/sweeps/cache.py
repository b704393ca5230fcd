"""The cached showers of a sweep: made once for all points with the same read-out and seed."""

from __future__ import annotations

import hashlib
import os
import shutil
from typing import TYPE_CHECKING

from caloforge.errors import OutputError
from caloforge.files import waiting_for
from caloforge.training import TrainingData
from caloforge.training.data import read_out_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from caloforge.training import TrainConfig

__all__ = ["lend_cache"]


def lend_cache(out: Path, run: Path, config: TrainConfig, data: Sequence[Path], *, seed: int) -> None:
    """Give the run folder ``run`` the cached showers that ``caloforge train`` would make for it.

    The arrays take their place on the disk once: their files have several names. A run folder that is moved,
    or goes on alone, has all that it needs.

    Args:
        out: Folder of the sweep.
        run: Of the point; one that has its showers is left as it is.
        config: Of the point.
        data: The shower files.
        seed: Of the training.

    Raises:
        DataError, FormatError, GeometryError: The showers cannot be trained on.
        OutputError: The cache cannot be written.
    """
    target = run / "cache"
    if (target / "facts.json").exists():
        return
    geometry = read_out_of(config.geometry, data[0])
    name = hashlib.sha256(f"{geometry.fingerprint} {seed}".encode()).hexdigest()[:16]
    shared = out / "cache" / name
    try:
        target.mkdir(parents=True, exist_ok=True)
        shared.mkdir(parents=True, exist_ok=True)
        with waiting_for(out / "cache" / f"{name}.lock", of=out):
            TrainingData.prepare(data, geometry, shared, seed=seed)
        # the facts last: a cache without them is made again
        for path in sorted(shared.iterdir(), key=lambda path: path.suffix == ".json"):
            _link(path, target / path.name)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        msg = f"Cannot write the training data to {target}: {error.strerror or error}."
        raise OutputError(msg) from error


def _link(path: Path, name: Path) -> None:
    name.unlink(missing_ok=True)
    try:
        os.link(path, name)
    except OSError:  # a file system that gives a file one name only
        shutil.copyfile(path, name)
