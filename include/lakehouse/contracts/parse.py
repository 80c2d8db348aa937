"""contract.odcs.yaml -> Contract: structure by the ODCS schema, then what only this product can judge.

A table folder is <layer>/<table>/ with contract.odcs.yaml and, unless it has a source, transform.sql.
"""

from __future__ import annotations

import re
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

from lakehouse.contracts import properties
from lakehouse.contracts.document import Document, Where
from lakehouse.contracts.errors import ContractError
from lakehouse.contracts.layout import Layout, read_layout
from lakehouse.contracts.model import Column, Contract, Disposition, Rule, Scd2, Source, Strategy
from lakehouse.contracts.references import reference
from lakehouse.contracts.rules import implied, without_rule, written
from lakehouse.contracts.scd2 import read_scd2
from lakehouse.contracts.sla import GATE_DEADLINE, LATENCY, read_duration, read_freshness
from lakehouse.contracts.source import COUNTED, read_source
from lakehouse.contracts.sql import predicate_problem
from lakehouse.contracts.standard import Problem, violations
from lakehouse.contracts.types import type_problem
from lakehouse.contracts.warehouse import read_warehouse

FILE = "contract.odcs.yaml"


def load_contract(folder: Path) -> Contract:
    """The contract in table folder `folder`. Raises ContractError listing every problem with its line.

    Read and checked once a process, and again when the file changed.
    """
    path = folder / FILE
    if not path.is_file():
        raise ContractError(path, [(1, "the table folder has no contract", f"Add {FILE}.")])
    found = path.stat()
    return _load(folder, found.st_mtime_ns, found.st_size, found.st_ino)


@lru_cache(maxsize=1024)
def _load(folder: Path, *version: int) -> Contract:
    document = Document(folder / FILE)
    problems = violations(document)
    if problems:
        raise ContractError(document.path, problems)
    contract = _Reader(document, folder, problems).contract()
    if problems:
        raise ContractError(document.path, sorted(problems))
    return contract


class _Reader:
    def __init__(self, document: Document, folder: Path, problems: list[Problem]) -> None:
        self.document, self.problems = document, problems
        self.layer, self.table = folder.parent.name, folder.name
        self.data = document.data
        #: Row rules of bronze set rows aside; later layers have clean input, so theirs stop the load.
        self.default: Disposition = "quarantine" if self.layer == "bronze" else "fail"

    def problem(self, at: Where, what: str, remedy: str) -> None:
        self.problems.append((self.document.line(at), what, remedy))

    def contract(self) -> Contract:
        data, name = self.data, f"{self.layer}.{self.table}"
        if data["id"] != name:
            self.problem(("id",), f"id '{data['id']}' is not '{name}'", "The id is <layer>.<table> of its folder.")
        objects = data.get("schema") or []
        if len(objects) != 1 or objects[0].get("name") != self.table:
            self.problem(("schema",), "schema must hold exactly one object", f"Keep one, named '{self.table}'.")
            raise ContractError(self.document.path, self.problems)
        team = data.get("team") or {}
        members = team.get("members") or [] if isinstance(team, dict) else team
        if not members or "@" not in (members[0].get("username") or ""):
            self.problem(("team",), "no owner", "Add team.members with the owner's mail address as username.")
        custom = properties.read(self.document, (), properties.TABLE, self.problems)
        columns, rules = self._columns(custom.get("source"))
        key = self._primary_key(columns)
        strategy = custom.get("strategy", "append" if "source" in custom else "merge")
        if strategy not in get_args(Strategy):
            self.problem(self._at_custom("strategy"), f"strategy '{strategy}'", f"Use one of {get_args(Strategy)}.")
        rules += self._table_rules(key, strategy)
        names = {c.name for c in columns}
        self._check(rules, names)
        said = data.get("slaProperties") or []
        sla = {p["property"]: {key: p[key] for key in ("value", "unit", "element") if key in p} for p in said}
        read_freshness(sla, names, lambda what, fix: self.problem(("slaProperties",), what, fix))
        return Contract(
            name=name,
            layer=self.layer,
            table=self.table,
            version=str(data["version"]),
            description=(data.get("description") or {}).get("purpose") or "",
            owner=(team.get("name") if isinstance(team, dict) else "") or "",
            owner_email=members[0].get("username") or "" if members else "",
            columns=tuple(columns),
            primary_key=key,
            partition_by=self._partitions(),
            rules=tuple(rules),
            strategy=strategy,
            publish_group=str(custom.get("publishGroup") or ""),
            source=self._source(custom, columns),
            scd2=self._scd2(custom, strategy, columns, key),
            affected_keys=self._affected_keys(custom.get("affectedKeys", {}), names),
            quarantine_threshold=self._threshold(custom.get("quarantineThreshold", 0.05)),
            sla=sla,
            gate_deadline=self._sla(GATE_DEADLINE, sla),
            latency=self._sla(LATENCY, sla),
            layout=self._layout(custom, columns),
            landing_retention=self._landing(custom.get("landingRetention")),
            warehouse=self._warehouse(custom, columns, strategy),
            tags=tuple(data.get("tags") or []),
            path=self.document.path,
            fingerprint=self.document.fingerprint,
        )

    def _properties(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.data["schema"][0].get("properties") or []
        return found

    def _columns(self, source: Any) -> tuple[list[Column], list[Rule]]:
        # No window has a row without a cursor, and no load could tell it from one that was loaded before.
        cursor = source.get("cursor") if isinstance(source, dict) else None
        columns: list[Column] = []
        rules: list[Rule] = []
        for index, prop in enumerate(self._properties()):
            at: Where = ("schema", 0, "properties", index)
            name = str(prop.get("name"))
            fault = type_problem(prop.get("physicalType"))
            if fault:
                self.problem(
                    at, f"column {name}: {fault}", "Give physicalType as a Spark SQL type, e.g. DECIMAL(18,2)."
                )
            if name.startswith("_") or name in {c.name for c in columns}:
                self.problem(at, f"column name '{name}'", "Names are unique; a leading _ is for operational columns.")
            custom = properties.read(self.document, at, properties.COLUMN, self.problems)
            protect = str(custom.get("protect") or "")
            if protect not in ("", "tokenise", "mask"):
                self.problem(at, f"column {name}: protect '{protect}'", "Use tokenise or mask.")
            if protect and self.layer == "bronze" and prop.get("physicalType") != "STRING":
                self.problem(at, f"column {name}: protect makes text of it", "Make its physicalType STRING.")
            # Lake Formation has its tags in lower case.
            classification = str(prop.get("classification") or "").lower()
            if classification == "pii" and not protect and self.layer == "bronze":
                self.problem(at, f"column {name} is pii and not protected", "Set protect to tokenise or mask.")
            pattern = self._pattern(at, prop)
            column = Column(
                name=name,
                type=str(prop.get("physicalType")),
                required=bool(prop.get("required") or prop.get("primaryKey") or name == cursor),
                description=prop.get("description") or "",
                source_name=prop.get("physicalName") or name,
                classification=classification,
                protect=protect,
                pattern=pattern,
                precedence=self._precedence(at, name, custom.get("precedence", [])),
            )
            columns.append(column)
            for what, fix in without_rule(column, prop):
                self.problem(at, f"column {name}: {what}", fix)
            rules += implied(column, prop, self.default, self.document.line(at))
            for number, relation in enumerate(prop.get("relationships") or []):
                rules.append(reference(self.document, (*at, "relationships", number), name, relation, self.problems))
            rules += self._written(at, prop.get("quality") or [], name)
        if not columns:
            self.problem(("schema", 0), "no columns", "List them under schema[0].properties.")
        return columns, rules

    def _precedence(self, at: Where, name: str, value: Any) -> tuple[str, ...]:
        if value and self.layer == "bronze":
            self.problem(at, f"column {name}: precedence in bronze", "Drop it: the table has one source.")
        tables = value if isinstance(value, list) else [None]
        if all(isinstance(t, str) and t.count(".") == 1 for t in tables) and len(set(tables)) == len(tables):
            return tuple(tables)
        self.problem(at, f"column {name}: precedence {value!r}", "List tables, layer.table, the winner first.")
        return ()

    def _pattern(self, at: Where, prop: dict[str, Any]) -> str:
        pattern = str((prop.get("logicalTypeOptions") or {}).get("pattern") or "")
        try:
            re.compile(pattern)
        except re.error as error:
            what = f"column {prop['name']}: pattern is no regular expression ({error})"
            self.problem((*at, "logicalTypeOptions", "pattern"), what, "Mend it; quote it with '...' in YAML.")
        return pattern

    def _written(self, at: Where, entries: list[dict[str, Any]], column: str) -> list[Rule]:
        rules = []
        for index, entry in enumerate(entries):
            here: Where = (*at, "quality", index)
            custom = properties.read(self.document, here, properties.QUALITY, self.problems)
            line = self.document.line(here)
            rule = written(
                entry,
                column,
                self.default,
                custom,
                line,
                lambda what, remedy, h=here: self.problem(h, what, remedy),  # type: ignore[misc]
            )
            rules += [rule] if rule else []
        return rules

    def _table_rules(self, key: tuple[str, ...], strategy: str) -> list[Rule]:
        table = self.data["schema"][0]
        if table.get("relationships"):
            self.problem(("schema", 0, "relationships"), "a relationship of the table", "Write it under its column.")
        rules = self._written(("schema", 0), table.get("quality") or [], "")
        for index, prop in enumerate(self._properties()):
            if prop.get("unique") and (prop["name"],) != key:
                line = self.document.line(("schema", 0, "properties", index))
                rules.append(Rule(f"{prop['name']}_unique", "unique", (prop["name"],), line=line))
        if strategy != "append" and key:  # an append-only log may hold several states of one key
            rules.append(Rule(f"{'_'.join(key)}_unique", "unique", key, line=self.document.line(("schema", 0))))
        return rules

    def _check(self, rules: list[Rule], names: set[str]) -> None:
        seen: set[str] = set()
        for rule in rules:
            if rule.name in seen:
                self.problems.append((rule.line, f"rule '{rule.name}' is defined twice", "Rename or drop one."))
            seen.add(rule.name)
            if set(rule.columns) - names:
                what = f"rule {rule.name}: no such column: {', '.join(sorted(set(rule.columns) - names))}"
                self.problems.append((rule.line, what, "Name columns of this contract."))
            if rule.kind == "source":
                self._check_source(rule, names)
            fault = predicate_problem(rule.predicate, names) if rule.kind == "row" else ""
            if fault:
                self.problems.append((rule.line, f"rule {rule.name}: {fault}", "Mend its implementation."))

    def _check_source(self, rule: Rule, names: set[str]) -> None:
        """A question to the source is for a table that has one, which can be asked."""
        custom = {p["property"]: p["value"] for p in self.data.get("customProperties") or []}
        source = custom.get("source")
        if not isinstance(source, dict) or source.get("type") not in COUNTED:
            what = f"rule {rule.name}: the table has no source that counts"
            self.problems.append((rule.line, what, f"Such rules are for sources of type {', '.join(COUNTED)}."))
        column = rule.params.get("of")
        if column and column not in names:
            what = f"rule {rule.name}: no such column: {column}"
            self.problems.append((rule.line, what, "Name a column of this contract."))

    def _primary_key(self, columns: list[Column]) -> tuple[str, ...]:
        keyed = [(p.get("primaryKeyPosition") or 1, str(p["name"])) for p in self._properties() if p.get("primaryKey")]
        if not keyed and columns:
            self.problem(("schema", 0), "no primary key", "Mark the key's columns with primaryKey: true.")
        return tuple(name for _, name in sorted(keyed))

    def _partitions(self) -> tuple[str, ...]:
        found = [(p.get("partitionKeyPosition") or 1, p["name"]) for p in self._properties() if p.get("partitioned")]
        return tuple(name for _, name in sorted(found))

    def _source(self, custom: dict[str, Any], columns: list[Column]) -> Source | None:
        if "source" not in custom:
            if not (self.document.path.parent / "transform.sql").is_file():
                self.problem((), "neither a source nor a transform.sql", "Add one of the two.")
            return None
        if (self.document.path.parent / "transform.sql").is_file():
            self.problem((), "both a source and a transform.sql", "Keep one of the two.")
        at = self._at_custom("source")
        names = {c.name for c in columns}
        source = read_source(custom["source"], names, lambda key, what, fix: self.problem((*at, key), what, fix))
        protected = [c.name for c in columns if c.protect]
        if source and "unload" in source.options and protected:
            what = f"an unload would write {', '.join(protected)} to S3 before anything could protect it"
            self.problem((*at, "options"), what, "Drop the unload, or extract a view that gives tokens in their place.")
        if source and source.streamed and protected:
            what = f"a stream lands {', '.join(protected)} as it came, before anything could protect it"
            self.problem(at, what, "Have the producer leave it out, or send tokens in its place.")
        return source

    def _scd2(self, custom: dict[str, Any], strategy: str, columns: list[Column], key: tuple[str, ...]) -> Scd2 | None:
        at = self._at_custom("scd2")
        if strategy != "scd2":
            if "scd2" in custom:
                self.problem(at, f"scd2 with strategy '{strategy}'", "Drop scd2 or set strategy scd2.")
            return None
        value = custom.get("scd2")
        return read_scd2(value, columns, key, lambda entry, what, fix: self.problem((*at, entry), what, fix))

    def _affected_keys(self, value: Any, names: set[str]) -> dict[str, dict[str, str]]:
        pairs = value.values() if isinstance(value, dict) else [None]
        if all(isinstance(p, dict) and p and set(map(str, p.values())) <= names for p in pairs):
            return {str(table): dict(columns) for table, columns in value.items()}
        what = "affectedKeys does not map each input's columns to columns of this contract"
        self.problem(self._at_custom("affectedKeys"), what, "Write e.g. {silver.orders: {order_id: order_id}}.")
        return {}

    def _sla(self, name: str, sla: dict[str, Any]) -> timedelta | None:
        return read_duration(name, sla, lambda what, fix: self.problem(("slaProperties",), what, fix))

    def _layout(self, custom: dict[str, Any], columns: list[Column]) -> Layout:
        at, names = self._at_custom("layout"), {c.name for c in columns}
        return read_layout(
            custom.get("layout"),
            names,
            self._partitions(),
            lambda key, what, fix: self.problem((*at, key) if key else at, what, fix),
        )

    def _landing(self, value: Any) -> timedelta | None:
        if value is None:
            return None
        try:
            return properties.duration(value)
        except ValueError as error:
            self.problem(self._at_custom("landingRetention"), f"landingRetention: {error}", "Write it like P90D.")
            return None

    def _warehouse(self, custom: dict[str, Any], columns: list[Column], strategy: str) -> bool:
        at = self._at_custom("warehouse")
        types = {c.name: c.type for c in columns}
        return read_warehouse(
            custom.get("warehouse"), self.layer, types, strategy, lambda what, fix: self.problem(at, what, fix)
        )

    def _threshold(self, value: Any) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
            return float(value)
        at = self._at_custom("quarantineThreshold")
        self.problem(at, f"quarantineThreshold '{value}'", "Give a share of the rows between 0 and 1, e.g. 0.05.")
        return 0.0

    def _at_custom(self, name: str) -> Where:
        entries = self.data.get("customProperties") or []
        index = next((i for i, entry in enumerate(entries) if entry["property"] == name), None)
        return ("customProperties",) if index is None else ("customProperties", index, "value")
