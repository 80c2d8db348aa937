"""`airflow dags backfill` as the parser knows it: every flag of Airflow 2, those that work and those that are refused.

A provider may add groups, not commands to a group of Airflow's own, so the group `dags` is put in place of itself with
one command more. That is not documented; tests/dags/test_backfill_command.py holds Airflow to it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand, lazy_load_command, parsedate, positive_int

#: Flags of Airflow 2 that are no more, and what to do instead.
REFUSED: dict[tuple[str, ...], str] = {
    ("-l", "--local"): "The scheduler runs backfills, by its executor. Leave the flag out.",
    ("-x", "--donot-pickle"): "DAGs are not pickled any more. Leave the flag out.",
    ("-m", "--mark-success"): "Mark runs in the UI: Browse, Dag Runs, Mark as success.",
    ("-t", "--task-regex"): "Clear tasks: `airflow tasks clear <dag_id> -t <regex> -s <start> -e <end>`; "
    "for one table and all below it: `lakehouse backfill --table <table> --start <start> --end <end>`.",
    ("-i", "--ignore-dependencies"): "Clear tasks without what is upstream: `airflow tasks clear <dag_id> -t <regex>`.",
    ("-I", "--ignore-first-depends-on-past"): "The first run of a backfill waits for none before it. Leave it out.",
    ("--pool",): "A task's pool is the one that its DAG gives it. Leave the flag out.",
    ("--delay-on-limit",): "The scheduler waits for free slots by itself; set --max-active-runs.",
    ("--disable-retry",): "Retries are as the DAG has them. Leave the flag out.",
    ("-S", "--subdir"): "DAGs come from the bundles of the configuration. Leave the flag out.",
    ("--treat-dag-id-as-regex", "--treat-dag-as-regex"): "Backfill DAGs one by one: `airflow dags list` has their ids.",
}
#: Refused flags that had a value.
VALUED = {"-t", "--pool", "--delay-on-limit", "-S"}


class Refuse(argparse.Action):
    """Ends the command with the new way, exit code 2."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: str | None = None) -> None:
        """Called where the flag is typed."""
        way = next(way for flags, way in REFUSED.items() if option in flags)
        parser.exit(2, f"error: {option} is not there any more.\n  -> {way}\n")


ARGS = (
    Arg(("dag_id",), help="The id of the dag."),
    Arg(("-s", "--start-date"), type=parsedate, help="First logical date; alone: the only one."),
    Arg(("-e", "--end-date"), type=parsedate, help="Last logical date, included; alone: the only one."),
    Arg(("-c", "--conf"), help="JSON that the runs get as their conf."),
    Arg(("-n", "--dry-run"), action="store_true", help="Only list the runs that would be made."),
    Arg(("-B", "--run-backwards"), action="store_true", help="The latest day first."),
    Arg(("-v", "--verbose"), action="store_true", help="A line at every change, also in a pipe."),
    Arg(("-y", "--yes"), action="store_true", help="Do not ask before runs that are there go again."),
    Arg(("--reset-dagruns",), action="store_true", help="Days that have a run go again, however it ended."),
    Arg(("--rerun-failed-tasks",), action="store_true", help="Days whose run failed go again, whole."),
    Arg(("--continue-on-failures",), action="store_true", help="Days do not wait for each other: always so now."),
    Arg(("--max-active-runs",), type=positive_int(allow_zero=False), help="Default: what the DAG allows."),
    *(Arg(flags, action=Refuse, nargs=1 if flags[0] in VALUED else 0, help=argparse.SUPPRESS) for flags in REFUSED),
)

BACKFILL = ActionCommand(
    name="backfill",
    help="Run a DAG for past days, and wait for them",
    description="Run a DAG for every logical date from start to end, both included. The scheduler works the runs off; "
    "this command shows how far they are. Exit codes: 0 all succeeded, 1 a run failed or an error told in one message, "
    "2 wrong usage, 130 Ctrl-C (the runs go on).",
    func=lazy_load_command("lakehouse_airflow.provider.command.backfill"),
    args=ARGS,
)


def commands() -> Sequence[Any]:
    """Called by Airflow's parser while it is made. Adds to its `dags` group, and has no group of its own."""
    parser = sys.modules.get("airflow.cli.cli_parser")
    known = getattr(parser, "airflow_commands", [])
    for place, group in enumerate(known):
        if isinstance(group, GroupCommand) and group.name == "dags":
            others = [command for command in group.subcommands if command.name != BACKFILL.name]
            known[place] = group._replace(subcommands=(*others, BACKFILL))
    return []
