"""What the files of a table say of their rows: the statistics that their writer put into the log. Reads the log only.

Exact are numbers of rows and of nulls, and bounds of whole numbers, dates, and decimals of up to 15 digits. Text is
cut, times are cut to milliseconds, and of floating point numbers NaN is not counted: of those, nothing is told here.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from lakehouse.delta import store
from lakehouse.delta.log import latest_version

if TYPE_CHECKING:
    import pyarrow as pa

#: Digits of a number that survive JSON as delta-rs reads it.
DIGITS = 15


@dataclass(frozen=True)
class Statistics:
    """Of the files of one version, a row of `files` each, as delta-rs has their add actions."""

    files: pa.Table

    @property
    def rows(self) -> int | None:
        """Rows of the table; None where a file does not tell."""
        return _sum(self.files["num_records"])

    @property
    def bytes(self) -> int:
        """Size of the table's files."""
        return _sum(self.files["size_bytes"]) or 0

    def nulls(self, column: str) -> int | None:
        """Rows without a value in `column`; None where a file does not tell."""
        found = self._of("null_count", column)
        return None if found is None else _sum(found)

    def span(self, column: str) -> tuple[Any, Any] | None:
        """Smallest and largest value of `column`; None where there is none, a file does not tell, or not exactly."""
        import pyarrow.compute as pc

        low, high, nulls = (self._of(kind, column) for kind in ("min", "max", "null_count"))
        if low is None or high is None or nulls is None or not _exact(low.type):
            return None
        # Without bounds may be only a file without values.
        silent = pc.or_(pc.is_null(low), pc.is_null(high))
        if pc.any(pc.and_(silent, pc.fill_null(pc.not_equal(nulls, self.files["num_records"]), True))).as_py():
            return None
        try:
            ends = pc.min(low).as_py(), pc.max(high).as_py()
        except (OverflowError, ValueError):
            return None  # A day that Python's calendar does not have.
        return ends if all(_survives(end) for end in ends) else None

    def _of(self, kind: str, column: str) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc

        if not self.files.num_rows or kind not in self.files.column_names:
            return None
        told = self.files[kind]
        names = [field.name for field in told.type] if pa.types.is_struct(told.type) else []
        return pc.struct_field(told, [column]) if column in names else None


def statistics(path: str) -> Statistics | None:
    """Those of the table at `path` at its latest version; None where there is none."""
    import pyarrow as pa

    version = latest_version(path)
    return None if version < 0 else Statistics(pa.table(store.delta_table(path, version).get_add_actions()))


def _sum(values: Any) -> int | None:
    import pyarrow.compute as pc

    return None if values.null_count else int(pc.sum(values).as_py() or 0)


def _exact(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_date(kind) or pa.types.is_decimal(kind))


def _survives(value: Any) -> bool:
    return value is not None and (not isinstance(value, Decimal) or len(value.as_tuple().digits) <= DIGITS)
