"""What the append of a load leaves out of its rows: how many, and those at fault where they are few.

Of many rows that is asked in a pass of its own, and only where not all were appended: to carry it past the writer costs
every row as much as to read it again. Of fewer rows it is observed as they pass, which spares Spark a job. Either way
rows at fault travel to the driver as the counts do, and are let go where they would be many or large.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakehouse.bronze.few import parts
from lakehouse.bronze.quarantine import parts_of, parts_sql
from lakehouse.contracts.model import Contract, Source

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

#: True for a judged row that is to be set aside.
BAD = "_faulty AND NOT _discarded"
#: Rows at fault up to which they travel with the counts, each of so many characters at most.
FEW, SMALL = 10_000, 4_000


class Seen:
    """Judged `rows` (see `bronze.judge`): append from `passing`, then ask for `counts`, then for the rest."""

    def __init__(self, rows: DataFrame, contract: Contract, source: Source, total: int, *, observed: bool) -> None:
        """Nothing is run yet. `total` is the number of rows; if `observed`, what passes is counted."""
        from pyspark.sql import Observation
        from pyspark.sql import functions as F

        self._rows, self._contract, self._source, self._total = rows, contract, source, total
        self._seen = Observation() if observed else None
        self._told: dict[str, Any] = {}
        #: The rows without `_reasons` and `_landed`: those are made for rows at fault alone.
        self.passing = rows.drop("_reasons", "_landed")
        if self._seen:
            self.passing = self._with_aside(rows).observe(self._seen, *map(F.expr, _told())).drop("_aside")

    def counts(self, appended: int) -> tuple[int, int, int]:
        """Rows judged, at fault and discarded, once `appended` were appended of those that are neither.

        Where none was, Spark drops the rest of the plan and the observation with it.
        """
        told = self._seen.get if self._seen else {}
        if "bad" not in told:
            # What was appended whole has no row at fault. Spark counts once more, for files may have changed meanwhile.
            whole = self._total == appended == self._rows.count()
            told = {"total": self._total, "bad": 0, "discarded": 0} if whole else self._asked()
        self._told = told
        return told["total"], told["bad"], told["discarded"]

    def aside(self) -> DataFrame:
        """The rows at fault as `quarantine.parts_of` has them, read again."""
        return parts_of(self._rows.where(BAD), self._contract, self._source)

    def few(self) -> pa.Table | None:
        """The rows of `aside`, where all of them came with the counts, which were asked for before."""
        came = self._told.get("aside") or []
        return parts(came) if len(came) == self._told["bad"] else None

    def _asked(self) -> dict[str, Any]:
        """As observed, but of the rows left out: the others tell nothing."""
        row = self._with_aside(self._rows.where("_faulty OR _discarded")).selectExpr(*_told()).first()
        return {**(row.asDict() if row else {}), "total": self._total}

    def _with_aside(self, rows: DataFrame) -> DataFrame:
        """`passing` of `rows`, and `_aside`: what quarantine is to have of a row at fault, as JSON."""
        aside = f"IF({BAD}, to_json({parts_sql(self._contract, self._source)}), NULL) AS _aside"
        return rows.selectExpr("*", aside).drop("_reasons", "_landed")


def _told() -> list[str]:
    """What is asked of rows that have `_aside`."""
    return [
        "count(*) AS total",
        "count(_aside) AS bad",
        "count(IF(_discarded, 1, NULL)) AS discarded",
        f"max_by(_aside, IF(length(_aside) <= {SMALL}, 1, NULL), {FEW}) AS aside",
    ]
