"""The forms that a trigger by hand fills in: what may be said to each DAG, checked before a run is made."""

from __future__ import annotations

from collections.abc import Sequence

from airflow.sdk import Param


def daily() -> dict[str, Param]:
    """Of the daily run; a scheduled run takes the defaults."""
    return {
        "up_to": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="Load up to",
            description="A moment in the past, instead of now. Only for a run without a logical date.",
        ),
        "reason": Param(
            "", type="string", maxLength=200, title="Reason", description="Why by hand; kept with the run. No names."
        ),
    }


def optimize() -> dict[str, Param]:
    """Of the upkeep."""
    return {
        "tables": Param(
            "*",
            type="string",
            pattern=r"^[a-z0-9_.*, ]+$",
            title="Tables",
            description="silver.orders, bronze.*, ops.* or * for all; several with commas.",
        ),
        "zorder": Param(
            None,
            type=["null", "array"],
            items={"type": "string", "pattern": r"^[A-Za-z][A-Za-z0-9_]*$"},
            maxItems=4,
            title="Columns to order by",
            description="For one table. Default: what each contract's layout says.",
        ),
        "hours": Param(
            168,
            type="integer",
            minimum=168,
            maximum=8760,
            title="Hours kept",
            description="How long removed files are kept for time travel and long readers.",
        ),
        "dry_run": Param(False, type="boolean", title="Rehearse", description="Only tell what would be done."),
    }


def stream() -> dict[str, Param]:
    """Of the stream; a scheduled run takes the defaults."""
    return {
        "trigger": Param(
            "available-now",
            type="string",
            enum=["available-now", "continuous"],
            title="Trigger",
            description="available-now: what the topic has. continuous: what comes, too, a commit every 10 seconds.",
        ),
        "minutes": Param(
            10,
            type="integer",
            minimum=1,
            maximum=600,
            title="Minutes",
            description="How long a continuous stream runs before what has landed is loaded.",
        ),
    }


def warehouse() -> dict[str, Param]:
    """Of the publish to the warehouse; a scheduled run takes the defaults."""
    return {
        "whole": Param(
            False,
            type="boolean",
            title="Send whole",
            description="Send every table whole, whatever is there. For one: lakehouse warehouse publish.",
        ),
    }


def backfill(table: str) -> dict[str, Param]:
    """Of a backfill; `table` is what the form opens with. As it opens, its run only tells what it would do."""
    day = {"type": ["null", "string"], "format": "date"}
    return {
        "table": Param(
            table,
            type="string",
            pattern=r"^[a-z0-9_.*, ]+$",
            title="Tables",
            description="orders (that source and all below it) or silver.orders; several with commas.",
        ),
        "start": Param(None, **day, title="First day", description="Left empty: the last one, or yesterday."),
        "end": Param(None, **day, title="Last day, included", description="Left empty: the first one."),
        "from": Param(
            "bronze",
            type="string",
            enum=["bronze", "source"],
            title="From",
            description="bronze: compute what landed anew. source: load what the ledger lacks, then compute.",
        ),
        "dry_run": Param(True, type="boolean", title="Rehearse", description="Only tell what would be done."),
    }


def override(tables: Sequence[str]) -> dict[str, Param]:
    """Of a gate's override. As it opens it lets nothing through: its run shows what the table's gate found last."""
    return {
        "table": Param(tables[0], type="string", enum=list(tables), title="Table"),
        "candidate": Param(
            "",
            type="string",
            pattern="^([0-9a-f]{8,64})?$",
            title="Candidate",
            description="Its fingerprint, or the beginning of it: the failed gate and its mail name it. "
            "Left empty, the run only shows what the gate found last.",
        ),
        "reason": Param(
            "",
            type="string",
            pattern="^(.{10,500})?$",
            title="Reason",
            description="Why readers may see it. Kept. No names of customers.",
        ),
    }
