"""L2LFlows: the cells of layers by masked autoregressive flows (arXiv:2302.11594), or by their students."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import nn

from caloforge import shares
from caloforge.geometry.windows import cell_windows
from caloforge.models.l2l.config import MaskedLayersConfig
from caloforge.models.l2l.masked_layer import MaskedLayer
from caloforge.models.l2l.model import LayerToLayer
from caloforge.models.stages import Stage, Turn
from caloforge.nn import Windows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models.base import Batch, ModelConfig
    from caloforge.models.l2l.layer_flow import Seen

__all__ = ["L2LFlows"]


class L2LFlows(LayerToLayer):
    """L2LFlows: masked autoregressive flows of the cells of layers."""

    name: ClassVar[str] = "l2lflows"
    config_class: ClassVar[type[ModelConfig]] = MaskedLayersConfig
    no_graph: ClassVar[str] = (
        "its masked flows draw one cell after the other, thousands of networks in a row for a shower: "
        "generate a library of showers with caloforge generate"
    )
    config: MaskedLayersConfig

    def __init__(self, config: MaskedLayersConfig, geometry: Geometry) -> None:
        super().__init__(config, geometry)
        count = len(self.layers) if config.student else 0
        self.students = nn.ModuleList(self._layer_flow(number) for number in range(count))

    def stages(self) -> Sequence[Stage]:
        """Those of all layer-to-layer flows, and a student's behind each flow of cells."""
        found = list(super().stages())
        if not self.config.student:
            return found
        teachers = [stage.name for stage in found if stage.settings == "layers"]
        students = []
        for number, teacher in enumerate(teachers):
            name, module = teacher.replace("layer", "student").rstrip("s"), (f"students.{number}",)
            turns = (Turn(name),)
            students.append(Stage(name, turns=turns, modules=module, needs=(teacher,), section="student"))
        last = [stage for stage in found if stage.name == "hit_map"]
        first = [stage for stage in found if stage.name != "hit_map"]
        needs = tuple(stage.name for stage in (*first, *students))
        return [*first, *students, *(replace(stage, needs=needs) for stage in last)]

    def loss(self, batch: Batch, *, turn: str, rng: torch.Generator) -> dict[str, Tensor]:
        """As of all layer-to-layer flows, and the distance of a student from its teacher."""
        if not turn.startswith("student"):
            return super().loss(batch, turn=turn, rng=rng)
        number = 0 if self.config.shared else int(turn.removeprefix("student-"))
        dense = self._cells_of(batch).dense(self.geometry.n_cells)
        x, seen = self._rows_of(number, dense, self.conditions(batch.particles), rng)
        noise = shares.normal(x.shape, rng, device=x.device)
        student, teacher = self.students[number], self.layers[number]
        assert isinstance(student, MaskedLayer)  # for the type checker: a ModuleList forgets
        assert isinstance(teacher, MaskedLayer)
        return {"loss": student.distance(teacher, noise, seen)}

    def _draw_layer(self, number: int, noise: Tensor, seen: Seen) -> Tensor:
        if not self.config.student:
            return super()._draw_layer(number, noise, seen)
        student = self.students[number]
        assert isinstance(student, MaskedLayer)  # for the type checker: a ModuleList forgets
        return student.in_one_pass(noise, seen)

    def _layer_flow(self, number: int) -> MaskedLayer:
        before = self.config.previous if self.config.shared else min(self.config.previous, number)
        cells = self._cells_at(number)
        front = cells.start - self._cells_at(number, before).start
        if self.config.shared:
            front = cells.stop * before
        own = self.conditions.features + self._numbers
        return MaskedLayer(
            self.config.layers,
            cells=cells.stop - cells.start,
            front=front,
            scalars=own + before * self._numbers,
            own=own,
            layers=self.geometry.n_layers if self.config.shared else 0,
            windows=self._windows(before),
        )

    def _windows(self, before: int) -> Windows | None:
        """Cells around cells that local networks see, where all layers have one grid."""
        if not self.geometry.is_uniform:
            return None
        grid = self.geometry.layers[0].grid
        near, front = (torch.from_numpy(cell_windows(grid, reach)) for reach in (2, 1))
        radius = torch.from_numpy(np.hypot(*grid.centres().T).round(3))
        return Windows(near, front, before, radius)
