from __future__ import annotations

import threading
import time

import pytest

from caloforge.training.prefetch import prefetched


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("prefetch")]


def test_all_is_made_once_in_order_in_another_thread() -> None:
    made: list[tuple[int, str]] = []

    def make(number: int) -> int:
        made.append((number, threading.current_thread().name))
        return number**2

    with prefetched(make, range(3, 9)) as results:
        assert list(results) == [9, 16, 25, 36, 49, 64]
    assert [number for number, _ in made] == list(range(3, 9))
    assert {name for _, name in made} == {"prefetch_0"}


def test_the_next_ones_are_made_while_one_is_used() -> None:
    made: list[int] = []

    def make(number: int) -> int:
        made.append(number)
        return number

    with prefetched(make, range(100)) as results:
        assert next(results) == 0
        end = time.monotonic() + 5
        while len(made) < 3 and time.monotonic() < end:
            time.sleep(0.001)
        time.sleep(0.02)
        assert made == [0, 1, 2]  # and no more: memory stays flat


def test_errors_come_where_their_number_is_asked_for() -> None:
    def make(number: int) -> int:
        if number == 2:
            raise ValueError("the third")
        return number

    with prefetched(make, range(5)) as results:
        assert [next(results), next(results)] == [0, 1]
        with pytest.raises(ValueError, match="the third"):
            next(results)
    assert not threads()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_the_thread_ends_with_what_uses_it(error: type[BaseException]) -> None:
    def use() -> None:
        with prefetched(lambda number: number, range(1000)) as results:
            next(results)
            assert threads()
            raise error

    with pytest.raises(error):
        use()
    assert not threads()


def test_nothing_to_make_is_no_error() -> None:
    with prefetched(lambda number: number, range(0)) as results:
        assert list(results) == []
