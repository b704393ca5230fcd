"""A reconstruction that is trained on one sample and used on the other, as a user of fast simulation does."""

from __future__ import annotations

from caloforge.evaluation.downstream.metric import downstream_metric

__all__ = ["downstream_metric"]
