"""What the append of a load sees of its rows as they pass: how many, and those at fault where they are few.

Rows at fault so need no second pass over all rows. They travel to the driver as the counts do, and are let go where
they would be many or large.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakehouse.bronze.few import parts
from lakehouse.bronze.quarantine import parts_of, parts_sql
from lakehouse.contracts.model import Contract, Source
from lakehouse.sqltext import quote

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

#: True for a judged row that is to be set aside.
BAD = "_faulty AND NOT _discarded"
#: What is counted of the judged rows.
COUNTS = {"total": "count(*)", "bad": f"count(IF({BAD}, 1, NULL))", "discarded": "count(IF(_discarded, 1, NULL))"}
#: Rows at fault up to which they travel with the counts, each of so many characters at most.
FEW, SMALL = 10_000, 4_000


class Seen:
    """An observation of judged `rows` (see `bronze.judge`): append from `passing`, then ask."""

    def __init__(self, rows: DataFrame, contract: Contract, source: Source) -> None:
        """Nothing is run yet."""
        from pyspark.sql import Observation
        from pyspark.sql import functions as F

        self._rows, self._contract, self._source, self._seen = rows, contract, source, Observation()
        aside = f"IF({BAD}, to_json({parts_sql(contract, source)}), NULL) AS _aside"
        # Reasons and the row as landed are made for rows at fault alone.
        names = [quote(name) for name in rows.columns if name not in ("_reasons", "_landed")]
        told = {**COUNTS, "aside": f"max_by(_aside, IF(length(_aside) <= {SMALL}, 1, NULL), {FEW})"}
        observed = rows.selectExpr(*names, aside).observe(
            self._seen, *[F.expr(f"{sql} AS {name}") for name, sql in told.items()]
        )
        #: The rows without `_reasons` and `_landed`.
        self.passing = observed.drop("_aside")

    def counts(self) -> tuple[int, ...]:
        """Rows judged, at fault and discarded.

        Where nothing was left to append, Spark drops the rest of the plan and the observation with it: then they are
        counted by a query of their own.
        """
        metrics = self._seen.get
        if "total" not in metrics:
            first = self._rows.selectExpr(*[f"{sql} AS {name}" for name, sql in COUNTS.items()]).first()
            metrics = first.asDict() if first else {}
        return tuple(int(metrics.get(name, 0)) for name in COUNTS)

    def aside(self) -> DataFrame:
        """The rows at fault as `quarantine.parts_of` has them, read again."""
        return parts_of(self._rows.where(BAD), self._contract, self._source)

    def few(self) -> pa.Table | None:
        """The rows of `aside`, where all of them came with the counts."""
        metrics = self._seen.get
        came = metrics.get("aside") or []
        return parts(came) if "total" in metrics and len(came) == metrics["bad"] else None
