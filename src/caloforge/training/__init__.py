"""Training: configuration, data, stages, checkpoints."""

from caloforge.training.config import TrainConfig, load_config, parse_config, preset_names
from caloforge.training.data import TrainingData
from caloforge.training.run import RunDirectory
from caloforge.training.session import Job, train, train_job, train_stage
from caloforge.training.trainer import Trainer

__all__ = [
    "Job",
    "RunDirectory",
    "TrainConfig",
    "Trainer",
    "TrainingData",
    "load_config",
    "parse_config",
    "preset_names",
    "train",
    "train_job",
    "train_stage",
]
