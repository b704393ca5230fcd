import numpy as np
from numpy.typing import NDArray

class Error(ValueError): ...

class Model:
    def __init__(self, program: object, tables: object, roots: object) -> None: ...
    def generate(
        self,
        energy: NDArray[np.float32],
        codes: NDArray[np.int16],
        keys: NDArray[np.uint64],
        threads: int,
    ) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]: ...

class TileModel:
    def __init__(
        self, tiles: object, side: int, layers: int, conditions: int, leaning: bool, step: float
    ) -> None: ...
    def choose(
        self,
        counts: NDArray[np.int32],
        cell: NDArray[np.int32],
        energy: NDArray[np.float32],
        codes: NDArray[np.int16],
        keys: NDArray[np.uint64],
    ) -> NDArray[np.int64]: ...

def collect(
    program: object,
    counts: NDArray[np.int32],
    cell: NDArray[np.int32],
    energy: NDArray[np.float32],
    codes: NDArray[np.int16],
    keep: NDArray[np.float32],
    most: NDArray[np.int64],
    seed: int,
) -> tuple[
    list[
        tuple[
            NDArray[np.int16], NDArray[np.int32], NDArray[np.float32], NDArray[np.int32], NDArray[np.float32]
        ]
    ],
    NDArray[np.int64],
]: ...
def build_tree(
    context: NDArray[np.int16],
    targets: NDArray[np.float32],
    leaf: int,
    depth: int,
    features: float,
    seed: int,
) -> tuple[
    NDArray[np.int16],
    NDArray[np.int16],
    NDArray[np.int32],
    NDArray[np.int32],
    NDArray[np.int32],
    NDArray[np.int32],
]: ...
def boost_tree(
    bins: NDArray[np.uint8],
    used: NDArray[np.int32],
    gradient: NDArray[np.float32],
    hessian: NDArray[np.float32],
    masks: NDArray[np.uint8],
    width: int,
    leaves: int,
    fewest: int,
    curvature: float,
) -> tuple[
    NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.float64], NDArray[np.int32], int
]: ...
