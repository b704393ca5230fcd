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
