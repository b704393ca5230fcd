"""Noise schedules, preconditioning, ODE samplers and consistency distillation: pure functions."""

from caloforge.diffusion.consistency import consistency_pair, consistency_scalings
from caloforge.diffusion.ddpm import (
    ancestral,
    ancestral_step,
    noised,
    quadratic_betas,
    signal_shares,
)
from caloforge.diffusion.edm import Scalings, edm_scalings, karras_sigmas, log_normal_sigmas
from caloforge.diffusion.samplers import euler, heun, heun_step

__all__ = [
    "Scalings",
    "ancestral",
    "ancestral_step",
    "consistency_pair",
    "consistency_scalings",
    "edm_scalings",
    "euler",
    "heun",
    "heun_step",
    "karras_sigmas",
    "log_normal_sigmas",
    "noised",
    "quadratic_betas",
    "signal_shares",
]
