"""Long work on many showers: numbered blocks in one or several processes, kept on disk, resumable."""

from caloforge.blocks.engine import Blocks, Progress, differences, run_blocks
from caloforge.blocks.pool import Task, Worker, run_tasks

__all__ = ["Blocks", "Progress", "Task", "Worker", "differences", "run_blocks", "run_tasks"]
