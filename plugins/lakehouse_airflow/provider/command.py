"""`airflow dags backfill`: makes a backfill of Airflow 3, waits for its runs, shows them. Works on Airflow's database,
as Airflow's own commands do.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from airflow.utils.cli import action_cli
from airflow.utils.providers_configuration_loader import providers_configuration_loaded

from lakehouse.errors import LakehouseError
from lakehouse_airflow.provider import runs, screen
from lakehouse_airflow.provider.runs import BackfillRefused, Found, Wanted

#: Seconds between looks at the runs.
PAUSE = 2.0
FINAL = ("success", "failed")


@action_cli
@providers_configuration_loaded
def backfill(args: Any) -> None:
    """The command. Ends the process with its exit code; see the description in `definition`."""
    from sqlalchemy.exc import DBAPIError

    try:
        code = _backfill(args)
    except LakehouseError as error:
        sys.stderr.write(f"error: {error}\n")
        code = 1
    except DBAPIError as error:
        sys.stderr.write(
            f"error: Airflow's metadata database does not answer as it should ({type(error.orig).__name__}).\n"
            "  -> Use the environment of the running Airflow, and `airflow db migrate` where its tables are missing.\n"
        )
        code = 1
    raise SystemExit(code)


def _backfill(args: Any) -> int:
    first, last = args.start_date or args.end_date, args.end_date or args.start_date
    if first is None:
        sys.stderr.write("error: It is not said which days are meant.\n  -> Give -s and -e, or one of them.\n")
        return 2
    wanted = Wanted(
        args.dag_id,
        first,
        last,
        _conf(args.conf),
        "completed" if args.reset_dagruns else "failed" if args.rerun_failed_tasks else "none",
        args.run_backwards,
        args.max_active_runs,
    )
    days = runs.planned(wanted)
    if args.dry_run:
        screen.show_plan(days)
        return 0
    again = [day for day in days if day.goes and day.there]
    if (
        args.reset_dagruns
        and again
        and not args.yes
        and not screen.asked(f"{len(again)} runs that are there go again.")
    ):
        raise BackfillRefused("Nothing was changed.", "Answer y, or say --yes.")
    runs.check_scheduler()
    number = runs.create(wanted) if any(day.goes for day in days) else None
    try:
        found = _wait(number, wanted, args.verbose) if number is not None else []
    except KeyboardInterrupt:
        sys.stderr.write(
            f"\nThe scheduler goes on with backfill {number} of {args.dag_id}.\n"
            f"  -> Watch it: `airflow dags list-runs {args.dag_id}`. Stop it: its banner on the DAG's page in the UI, "
            f"or PUT /api/v2/backfills/{number}/cancel; running runs end as they would.\n"
        )
        return 130
    made = {run.logical_date for run in found}
    before = [day.there for day in days if day.there and day.logical_date not in made]
    every = sorted([*found, *before], key=lambda run: run.logical_date)
    screen.show_runs(every)
    failed = [run for run in every if run.state != "success"]
    if failed:
        sys.stderr.write(
            f"error: {len(failed)} of {len(every)} runs did not succeed.\n"
            "  -> See their failed tasks in the UI, mend the reason, and repeat with --rerun-failed-tasks.\n"
        )
    return 1 if failed else 0


def _wait(number: int, wanted: Wanted, verbose: bool) -> list[Found]:
    """The runs of the backfill, once all are at their end."""
    with screen.Progress(verbose) as progress:
        while True:
            found = runs.of_backfill(number)
            progress.tell(found)
            if all(run.state in FINAL for run in found):
                return found
            runs.check_dag(wanted)
            runs.check_scheduler(f"{wanted.dag_id}: backfill {number} is made, its runs wait.")
            time.sleep(PAUSE)


def _conf(text: str | None) -> dict[str, Any] | None:
    if not text:
        return None
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise BackfillRefused("--conf is no JSON object.", 'Write it like \'{"reason": "late prices"}\'.')
    return found
