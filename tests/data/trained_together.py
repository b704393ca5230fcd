"""Trainings one after the other by the processes that torchrun starts; a script for the tests."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from caloforge.training import load_config, train

if __name__ == "__main__":
    for job in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")):
        train(load_config(job["preset"], job["overrides"]), [Path(job["data"])], Path(job["out"]), seed=1)
