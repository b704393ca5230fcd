"""Work on other machines: executors with the interface of ``concurrent.futures``, and how they are used."""

from caloforge.cluster.spread import run_spread

__all__ = ["run_spread"]
