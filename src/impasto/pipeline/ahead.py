"""Prefetching iterator."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["ahead"]

T = TypeVar("T")


def ahead(items: Iterator[T], count: int = 2) -> Iterator[T]:
    """Yields the items of an iterator while a worker thread prefetches the next ones.

    Args:
        items: The iterator; a generator is closed at the end, and its exceptions are raised here in order.
        count: Maximum number of prefetched items.
    """
    end = object()
    worker = ThreadPoolExecutor(1, "ahead")
    try:
        waiting = deque(worker.submit(next, items, end) for _ in range(count))
        while (item := waiting.popleft().result()) is not end:
            waiting.append(worker.submit(next, items, end))
            yield item  # type: ignore[misc]
    finally:
        worker.shutdown(cancel_futures=True)
        if isinstance(items, Generator):
            items.close()
