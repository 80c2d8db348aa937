"""An archive of the classes that a local Spark server loads (Java's class-data sharing), made once an environment.

Reading, verifying and linking some 25,000 classes is most of what a start and the first statements cost. A server maps
them from the archive instead; where there is none, or it does not fit, Java goes on without.
"""

from __future__ import annotations

import subprocess
import tempfile
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from lakehouse.spark.jars import resolve_jars, spark_home
from lakehouse.spark.java import java_home
from lakehouse.sqltext import quote

#: What a day does, in small: its classes are those to keep. `{table}` is a Delta table that is not there yet.
WORKLOAD = (
    "CREATE TABLE {table} (id BIGINT NOT NULL, day DATE, amount DECIMAL(18, 2), name STRING, at TIMESTAMP) USING delta "
    "PARTITIONED BY (day) TBLPROPERTIES (delta.enableChangeDataFeed = true)",
    "INSERT INTO {table} SELECT id, DATE '2025-10-01' + CAST(id % 2 AS INT), id / 3, concat('n', id), "
    "TIMESTAMP '2025-10-01' + make_interval(0, 0, 0, 0, 0, 0, id) FROM range(1000)",
    "MERGE INTO {table} AS t USING (SELECT id, day, amount + 1 AS amount, name, at FROM {table} WHERE id % 10 = 0) "
    "AS s ON t.id = s.id WHEN MATCHED AND s.amount > 5 THEN UPDATE SET * WHEN MATCHED THEN DELETE "
    "WHEN NOT MATCHED THEN INSERT *",
    "DELETE FROM {table} WHERE id < 5",
    "SELECT count(1), sum(amount), count_if(name RLIKE '^n[0-9]+$'), count(DISTINCT id), max(at), "
    "(SELECT count(1) FROM {table} AS this LEFT ANTI JOIN {table} AS other ON this.id = other.id + 1) FROM {table}",
    "SELECT id, lead(at) OVER (PARTITION BY day ORDER BY at) AS next, sha2(to_json(struct(*)), 256), "
    "from_json(concat('{{\"a\": ', id, '}}'), 'a INT').a FROM {table} ORDER BY id LIMIT 5",
    "SELECT _change_type, count(1) FROM table_changes_by_path('{path}', 2) GROUP BY _change_type",
    "OPTIMIZE {table} ZORDER BY (id)",
    "DESCRIBE HISTORY {table}",
)


def archive() -> Path:
    """Where the archive of this environment's Spark, jars and Java is, once `make` was called."""
    home = java_home()
    release = home / "release"
    told = [release.read_text() if release.is_file() else "", str(home), str(spark_home()), *map(str, resolve_jars())]
    key = sha256("\0".join(told).encode()).hexdigest()[:16]
    # It holds the paths of Spark's jars: it is of use to this environment alone, and goes with it.
    return spark_home() / "classes" / f"{key}.jsa"


def shared_classes() -> str:
    """The option that has Java use the archive; "" where there is none."""
    made = archive()
    return f'-XX:SharedArchiveFile="{made}"' if made.is_file() else ""


def make() -> Path | None:
    """Make the archive of this environment, unless it is there; half a minute. None where Java makes none in time.

    Raises OSError where it cannot be written, SparkUnavailable where the server that it is made of does not start.
    """
    from lakehouse.spark.local import served
    from lakehouse.spark.session import connected

    made = archive()
    if made.is_file():
        return made
    made.parent.mkdir(parents=True, exist_ok=True)
    for old in made.parent.glob("*.jsa"):
        old.unlink()
    # Java writes the archive at its end; only a whole one gets the name.
    draft = made.with_suffix(".draft")
    with tempfile.TemporaryDirectory(prefix="lakehouse-classes-") as work, suppress(subprocess.TimeoutExpired):
        path = f"{work}/table"
        with (
            served(Path(work), small_data=True, java=f'-XX:ArchiveClassesAtExit="{draft}"', grace=300) as endpoint,
            connected("classes", endpoint=endpoint) as spark,
        ):
            for statement in WORKLOAD:
                spark.sql(statement.format(table=f"delta.{quote(path)}", path=path)).collect()
        if draft.is_file():
            return draft.rename(made)
    return None
