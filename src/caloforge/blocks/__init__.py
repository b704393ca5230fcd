"""Long work on many showers: numbered blocks, made by processes or a cluster, kept on disk, resumable."""

from caloforge.blocks.differences import differences
from caloforge.blocks.engine import Progress, run_blocks
from caloforge.blocks.folder import Blocks
from caloforge.blocks.pool import Task, Worker, run_tasks
from caloforge.blocks.production import Production
from caloforge.blocks.store import BlockStore

__all__ = [
    "BlockStore",
    "Blocks",
    "Production",
    "Progress",
    "Task",
    "Worker",
    "differences",
    "run_blocks",
    "run_tasks",
]
