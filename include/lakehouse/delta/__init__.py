"""Delta tables: branches, what they change, and the fast-forward that publishes them. The only code that commits.

Tables are addressed by path, there is no catalog. Spark works on branches and never commits to a published table.
"""

from lakehouse.delta.branch import added_rows, open_branch, table_sql
from lakehouse.delta.collect import Collected, CollectRefused, collect
from lakehouse.delta.describe import Newest, TableStats, data_version, newest, schema_columns, table_id, table_stats
from lakehouse.delta.diff import Diff, SeveralStatements, diff
from lakehouse.delta.fate import drop_branch
from lakehouse.delta.features import UnknownFeature
from lakehouse.delta.feed import changed_since, changes, feed_problem
from lakehouse.delta.files import drop_files, file_batches, files_in, numbers
from lakehouse.delta.footers import UNTOLD, tell
from lakehouse.delta.log import commit_metadata, latest_version, transaction_version, version_at
from lakehouse.delta.publish import (
    CandidateChanged,
    PublishConflict,
    Published,
    check_fast_forward,
    create_table,
    fast_forward,
)
from lakehouse.delta.record import Branch, BranchRefused
from lakehouse.delta.revert import RevertRefused, check_revert, revert, reverted_versions
from lakehouse.delta.rows import append_rows, dataset, read_rows, scan
from lakehouse.delta.schema import TypeUnknown
from lakehouse.delta.spec import DEFAULT_PROPERTIES, ColumnSpec, SchemaChanged, TableSpec
from lakehouse.delta.statistics import Statistics, statistics
from lakehouse.delta.store import StoreUnsupported
from lakehouse.delta.transactions import Commit, commit_of, transactions

__all__ = [
    "DEFAULT_PROPERTIES",
    "UNTOLD",
    "Branch",
    "BranchRefused",
    "CandidateChanged",
    "CollectRefused",
    "Collected",
    "ColumnSpec",
    "Commit",
    "Diff",
    "Newest",
    "PublishConflict",
    "Published",
    "RevertRefused",
    "SchemaChanged",
    "SeveralStatements",
    "Statistics",
    "StoreUnsupported",
    "TableSpec",
    "TableStats",
    "TypeUnknown",
    "UnknownFeature",
    "added_rows",
    "append_rows",
    "changed_since",
    "changes",
    "check_fast_forward",
    "check_revert",
    "collect",
    "commit_metadata",
    "commit_of",
    "create_table",
    "data_version",
    "dataset",
    "diff",
    "drop_branch",
    "drop_files",
    "fast_forward",
    "feed_problem",
    "file_batches",
    "files_in",
    "latest_version",
    "newest",
    "numbers",
    "open_branch",
    "read_rows",
    "revert",
    "reverted_versions",
    "scan",
    "schema_columns",
    "statistics",
    "table_id",
    "table_sql",
    "table_stats",
    "tell",
    "transaction_version",
    "transactions",
    "version_at",
]
