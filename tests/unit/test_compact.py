"""Tensors as they are stored."""

from __future__ import annotations

import pytest
import torch

from caloforge.trained.compact import compact, flags, is_packed


def test_flags_are_bits_the_first_the_highest() -> None:
    seen = torch.zeros(5, 13, dtype=torch.bool)
    seen[0, 0], seen[0, 8], seen[4, 12] = True, True, True
    packed = compact(seen)
    assert packed.dtype == torch.uint8
    # 65 flags: bits 0, 8 and 64
    assert packed.tolist() == [128, 128, 0, 0, 0, 0, 0, 0, 128]
    assert torch.equal(flags(packed, seen), seen)


@pytest.mark.parametrize(("length", "packed"), [(9, True), (8, False), (10, False)])
def test_bytes_of_another_length_are_no_flags(length: int, packed: bool) -> None:
    like = torch.zeros(5, 13, dtype=torch.bool)
    assert is_packed(torch.zeros(length, dtype=torch.uint8), like) is packed
    assert not is_packed(torch.zeros(length, dtype=torch.uint8), like.float())


def test_what_is_short_or_too_large_stays() -> None:
    assert compact(torch.ones(64, dtype=torch.bool)).dtype == torch.bool
    assert compact(torch.ones(64)).dtype == torch.float32
    assert compact(torch.ones(65)).dtype == torch.float16
    assert compact(torch.full((65,), 1e5)).dtype == torch.float32
    assert compact(torch.ones(65, dtype=torch.int64)).dtype == torch.int64
