"""Run and Batch: what a step needs to know, small and serialisable (it travels between tasks as XCom)."""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from lakehouse.contracts.model import Contract
from lakehouse.ledger.windows import Window

#: A replay loads again what an earlier load landed, or what quarantine kept.
Kind = Literal["scheduled", "manual", "backfill", "replay"]

#: Namespace of all batch ids.
NAMESPACE = uuid.UUID("5b0f6a3e-8a8c-5b61-9d8e-2f4c3d1a7e90")


@dataclass(frozen=True)
class Run:
    """One run of a pipeline. `start` and `end` bound the data interval; a manual run has only an end (run_after)."""

    run_id: str
    kind: Kind
    end: datetime
    start: datetime | None = None
    #: W3C trace id, 32 hex digits: the same in every log line, event and commit of the run.
    trace_id: str = ""

    def __post_init__(self) -> None:
        """A run without a trace id gets the one its id implies."""
        if not self.trace_id:
            object.__setattr__(self, "trace_id", hashlib.sha256(self.run_id.encode()).hexdigest()[:32])

    @property
    def run_date(self) -> str:
        """The day the run is for: the start of its interval, YYYY-MM-DD."""
        return (self.start or self.end).date().isoformat()


@dataclass(frozen=True)
class Batch:
    """One load of one table within one run."""

    table: str
    batch_id: str
    load: int
    attempt: str
    run: Run
    started_ts: datetime
    windows: tuple[Window, ...] = ()
    #: What the source hands over whole and this load takes: files, by key and ETag.
    deliveries: tuple[str, ...] = ()
    #: Of a replay: the load whose landing files it reads, as "batch/load"; "" reads its own.
    replays: str = ""
    #: Version of each input the transform read.
    consumed: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    #: JSON of the branch, "" while there is none.
    branch: str = ""
    #: Fingerprint of the change that was audited; nothing else may be published.
    audited: str = ""
    #: Id of the override that let it through its gate; "" where it passed.
    override: str = ""
    #: Rules that the audited candidate keeps (see `quality.part`), and the tables that its gate looked at besides (see
    #: `pipeline.scope`): the next one's gate goes on from there.
    kept: dict[str, str] = field(default_factory=dict)
    checked: dict[str, list[str | int]] = field(default_factory=dict)
    contract: str = ""
    sql: str = ""
    #: Nothing would change: nothing to audit, nothing to commit.
    empty: bool = False
    #: Seconds that transform and gate held Spark: what the load is priced by.
    spark_seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        found: dict[str, Any] = json.loads(json.dumps(asdict(self), default=lambda value: value.isoformat()))
        return found

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Batch:
        """The inverse of `to_dict`."""
        run = dict(value["run"])
        run["end"] = datetime.fromisoformat(run["end"])
        run["start"] = datetime.fromisoformat(run["start"]) if run["start"] else None
        windows = tuple(Window(datetime.fromisoformat(a), datetime.fromisoformat(b)) for a, b in value["windows"])
        started = datetime.fromisoformat(value["started_ts"])
        lists = {"windows": windows, "deliveries": tuple(value["deliveries"])}
        return cls(**{**value, **lists, "run": Run(**run), "started_ts": started})

    def held_spark(self, seconds: float) -> Batch:
        """The batch with `seconds` of Spark added."""
        return replace(self, spark_seconds=round(self.spark_seconds + seconds, 3))

    def with_counts(self, **counts: int) -> Batch:
        """The batch with `counts` added."""
        return replace(self, counts={**self.counts, **counts})

    def follows(self, attempt: str) -> bool:
        """Whether `attempt` is an earlier one of the same run at the same table."""
        return attempt != self.attempt and attempt.partition("-")[0] == self.attempt.partition("-")[0]

    @property
    def landing(self) -> tuple[str, int]:
        """Batch and load whose landing files it reads."""
        batch_id, _, load = self.replays.partition("/")
        return (batch_id, int(load)) if batch_id else (self.batch_id, self.load)

    @property
    def transaction(self) -> str:
        """App id of the Delta transaction that publishes this batch; its version is `load`."""
        return f"{self.table}/{self.batch_id}"


def new_attempt(table: str, run: Run) -> str:
    """A name for one attempt of `run` at `table`: unique, since a zombie may still be writing under the last one.

    It begins alike for all attempts of one run at one table, so that the next one knows which it follows: those of
    other runs may be alive and well (OPS-3).
    """
    family = hashlib.sha256(f"{table}|{run.run_id}".encode()).hexdigest()[:8]
    return f"{family}-{uuid.uuid4().hex[:12]}"


def window_batch_id(contract: Contract, windows: tuple[Window, ...], kind: Kind) -> str:
    """uuid5 of table, windows and kind (ING-1)."""
    spans = ";".join(f"{w.low.isoformat()}/{w.high.isoformat()}" for w in windows)
    return str(uuid.uuid5(NAMESPACE, f"{contract.name}|{spans}|{kind}"))


def replay_batch_id(contract: Contract, what: str) -> str:
    """uuid5 of table and what is loaded again: a replay that is repeated is the same batch."""
    return str(uuid.uuid5(NAMESPACE, f"{contract.name}|{what}|replay"))


def change_batch_id(contract: Contract, consumed: dict[str, int], sql: str, base: int, restated: str = "") -> str:
    """uuid5 of table, input versions, fingerprints, the version the change starts from, and what is restated."""
    inputs = json.dumps(consumed, sort_keys=True)
    what = f"{contract.name}|{inputs}|{contract.fingerprint}|{sql}|{base}"
    return str(uuid.uuid5(NAMESPACE, f"{what}|{restated}" if restated else what))
