"""Peak memory of ``caloforge generate`` for several numbers of showers: it must not grow with them."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    options = _options()
    print("showers   peak MB    seconds")
    peaks = []
    for count in options.counts:
        peak, seconds = measure(options, count)
        peaks.append(peak)
        print(f"{count:<9d} {peak:<10.0f} {seconds:.1f}", flush=True)
    if len(peaks) > 1:
        growth = 1e3 * (peaks[-1] - peaks[0]) / max(options.counts[-1] - options.counts[0], 1)
        print(f"growth: {growth:.2f} kB per shower")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="caloclouds-2-cm:siw-ecal", help="shipped model or folder")
    parser.add_argument("--counts", default="2000,20000", help="numbers of showers, with commas between")
    parser.add_argument("--energy", default="10:100", help="range of the energies in GeV")
    parser.add_argument("--batch-size", default="100", help="showers computed together")
    options = parser.parse_args()
    options.counts = [int(count) for count in options.counts.split(",")]
    return options


def measure(options: argparse.Namespace, count: int) -> tuple[float, float]:
    """Generate in a process of its own; returns its largest resident memory [MB] and seconds.

    This process is small, so that what a child inherits from it does not hide the child's own.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "caloforge", "generate", options.model]
        command += ["--energy", options.energy, "--count", str(count), "--batch-size", options.batch_size]
        command += ["--out", str(Path(folder) / "showers.h5")]
        started = time.monotonic()
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert child.stderr is not None
        words = child.stderr.read().decode()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"caloforge generate failed: {words}")
    unit = 1 if sys.platform == "darwin" else 1024
    return usage.ru_maxrss * unit / 1e6, time.monotonic() - started


if __name__ == "__main__":
    main()
