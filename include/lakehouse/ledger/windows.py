"""Arithmetic of half-open windows (low, high] over a cursor's clock. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple


class Window(NamedTuple):
    """(low, high]: a row belongs when low < cursor <= high."""

    low: datetime
    high: datetime


def merge(windows: Iterable[Window]) -> list[Window]:
    """The same coverage as sorted windows that neither overlap nor touch. Empty ones vanish."""
    merged: list[Window] = []
    for window in sorted(w for w in windows if w.low < w.high):
        if merged and window.low <= merged[-1].high:
            merged[-1] = Window(merged[-1].low, max(merged[-1].high, window.high))
        else:
            merged.append(window)
    return merged


def with_lookback(windows: Iterable[Window], lookback: timedelta) -> list[Window]:
    """What a source is asked for, and a table looked at, to load `windows`: each from so far below, merged."""
    return merge(Window(low - lookback, high) for low, high in windows)


def subtract(whole: Window, taken: Iterable[Window]) -> list[Window]:
    """What of `whole` no window in `taken` covers."""
    left: list[Window] = []
    low = whole.low
    for window in merge(taken):
        if window.high <= low:
            continue
        if window.low >= whole.high:
            break
        if window.low > low:
            left.append(Window(low, window.low))
        low = max(low, window.high)
    if low < whole.high:
        left.append(Window(low, whole.high))
    return left


def difference(windows: Iterable[Window], taken: Iterable[Window]) -> list[Window]:
    """What of `windows`, merged, no window in `taken` covers."""
    gone = merge(taken)
    return [piece for window in merge(windows) for piece in subtract(window, gone)]


def covered_prefix(start: datetime, covered: Iterable[Window]) -> datetime:
    """The watermark: how far coverage reaches from `start` without a gap (ING-1)."""
    end = start
    for window in merge(covered):
        if window.low > end:
            break
        end = max(end, window.high)
    return end


def chunks(window: Window, length: timedelta) -> list[Window]:
    """`window` cut into pieces of at most `length`, in order."""
    pieces = []
    low = window.low
    while low < window.high:
        high = min(low + length, window.high)
        pieces.append(Window(low, high))
        low = high
    return pieces
