"""Work on other machines: executors with the interface of ``concurrent.futures``, and how they are used."""

from caloforge.cluster.opening import opened
from caloforge.cluster.settings import Cluster, cluster_named
from caloforge.cluster.spread import Spread, run_in_order, run_spread

__all__ = ["Cluster", "Spread", "cluster_named", "opened", "run_in_order", "run_spread"]
