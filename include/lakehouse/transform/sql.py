"""transform.sql as an expression tree: what it reads, what it returns, and its text over given views."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from sqlglot import exp

FILE = "transform.sql"


class SqlError(LakehouseError):
    """A transform.sql that cannot be used."""


#: What SQL may say of a table that it reads.
_READ = ("this", "db", "catalog", "alias", "sample")


@dataclass(frozen=True)
class TransformSql:
    """A parsed transform: one SELECT that reads tables as layer.table."""

    path: Path
    tree: exp.Query
    fingerprint: str

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the tables it reads, sorted."""
        return tuple(sorted({f"{t.db}.{t.name}" for t in self._tables(self.tree)}))

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns it returns, in order."""
        return tuple(self.tree.named_selects)

    def over(self, views: dict[str, str]) -> str:
        """Spark SQL with every layer.table replaced by its view's name."""
        from sqlglot import exp

        tree = self.tree.copy()
        for table in self._tables(tree):
            view: exp.Expr = exp.to_table(views[f"{table.db}.{table.name}"])
            if not table.alias:
                view = exp.alias_(view, table.name, table=True)
            else:
                view.set("alias", table.args["alias"])
            view.set("sample", table.args.get("sample"))
            table.replace(view)
        return tree.sql(dialect="spark")

    @staticmethod
    def _tables(tree: exp.Expr) -> list[exp.Table]:
        from sqlglot import exp

        return [table for table in tree.find_all(exp.Table) if table.db]


def parse_transform(folder: Path) -> TransformSql:
    """Parse `folder`/transform.sql. Raises SqlError naming the file and the remedy."""
    path = folder / FILE
    return _parse(path.read_text(encoding="utf-8"), path)


def parse_query(text: str) -> TransformSql:
    """Parse a query that somebody typed, by the same rules. Raises SqlError."""
    return _parse(text, Path("query"))


def _parse(text: str, path: Path) -> TransformSql:
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        trees = [tree for tree in sqlglot.parse(text, dialect="spark") if tree is not None]
    except SqlglotError as error:
        details = getattr(error, "errors", None) or [{}]
        line, reason = details[0].get("line", 1), details[0].get("description") or str(error).splitlines()[0]
        raise SqlError(f"{path}:{line}: the SQL does not parse: {reason}.", "Mend it.") from error
    if len(trees) != 1 or not isinstance(trees[0], exp.Query):
        raise SqlError(f"{path}:1: expected exactly one SELECT.", "Keep one query; the machine does the writing.")
    ctes = {cte.alias for cte in trees[0].find_all(exp.CTE)}
    for table in trees[0].find_all(exp.Table):
        # A hint names tables by their aliases.
        if not table.db and table.name not in ctes and not table.find_ancestor(exp.Hint):
            raise SqlError(f"{path}:1: table '{table.name}' has no layer.", "Write layer.table, e.g. silver.orders.")
        if more := [name for name, said in table.args.items() if said and name not in _READ]:
            raise SqlError(
                f"{path}:1: {table.db}.{table.name} is read with {', '.join(more)}.",
                "Read it by its name alone: joins in brackets and pivots go around (SELECT ...), the past is --as-of.",
            )
    return TransformSql(path, trees[0], hashlib.sha256(text.encode()).hexdigest()[:16])
