"""What a training shows of its stages: a bar for each, or one for all that are trained at a time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from caloforge.cli.common import progress

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Self

    from caloforge.cli.common import Advance

__all__ = ["JointProgress", "StageProgress"]


class StageProgress:
    """One progress bar after the other, a stage each."""

    def __init__(self) -> None:
        self._stage = ""
        self._done = 0
        self._bar: AbstractContextManager[Advance] | None = None
        self._advance: Advance | None = None

    def __enter__(self) -> Self:
        return self

    def __call__(self, stage: str, done: int, total: int, loss: float) -> None:
        """Advance the bar of ``stage``, or open it."""
        if stage != self._stage:
            self._close()
            self._stage, self._done = stage, done
            title = stage if math.isnan(loss) else f"{stage}, first loss {loss:.4g}"  # fits have no loss
            self._bar = progress(title, total, done=done, unit="steps")
            self._advance = self._bar.__enter__()
        if self._advance is not None:
            self._advance(done - self._done)
        self._done = done

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
        self._bar = None

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()


class JointProgress:
    """One progress bar of all stages, which are trained at a time; it opens when all have been told of."""

    def __init__(self) -> None:
        self._done: dict[str, int] = {}
        self._total: dict[str, int] = {}
        self._bar: AbstractContextManager[Advance] | None = None
        self._advance: Advance | None = None

    def __enter__(self) -> Self:
        return self

    def __call__(self, stage: str, done: int, total: int, loss: float) -> None:  # noqa: ARG002
        """Advance the bar by what a stage has done since it was heard last."""
        self._total[stage] = total
        if done and self._bar is None:
            self._bar = progress("stages", sum(self._total.values()), unit="steps")
            self._advance = self._bar.__enter__()
        if self._advance is not None:
            self._advance(done - self._done.get(stage, 0))
        self._done[stage] = done

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
