"""docs/contracts.md has every word that the parsers of contracts take, and its examples are good tables."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import get_args

import pytest

from lakehouse import manifest
from lakehouse.contracts import (
    Contract,
    databases,
    files,
    kafka,
    layout,
    load_contract,
    model,
    properties,
    rules,
    scd2,
    sla,
    source,
    sql,
    types,
)
from lakehouse.contracts.parse import FILE
from lakehouse.ingest.files.layout import SUFFIXES
from lakehouse.pipeline.spec import BRONZE_OPERATIONAL
from lakehouse.quality.measure import _OPERATORS
from lakehouse.transform import sql as transform
from lakehouse.transform.apply import OPERATIONAL
from lakehouse.transform.precedence import check_precedence
from lakehouse.transform.scd2 import CHANGED
from tests.unit.test_contracts_rules import SCHEMA, contract

TEXT = (Path(__file__).parents[2] / "docs" / "contracts.md").read_text()
BLOCK = re.compile(r"^```\w+\n(.*?)^```$", re.M | re.S)
PROSE = BLOCK.sub("", TEXT)
LINES = [line for line in PROSE.splitlines() if line.startswith("|")]


def spans(text: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`\n]+)`", text)


def words(text: str) -> set[str]:
    """The words in backticks, placeholders whole."""
    return {word for span in spans(text) for word in re.findall(r"\$\{\w+\}|\w+", span)}


def cell(line: str, number: int) -> list[str]:
    return spans(line.split("|")[number])


def about(head: str) -> str:
    """The lines of tables whose first cell has `head`."""
    return "\n".join(line for line in LINES if head in cell(line, 1))


def named(complaints: list[str]) -> set[str]:
    """Words that parsers offer where they can make nothing of one: those written likeThis."""
    return {word for text in complaints for word in re.findall(r"\b[a-z]+[A-Z]\w*", text)}


def metrics() -> set[str]:
    told: list[str] = []
    rules.written({"name": "x", "type": "none"}, "", "fail", {}, 0, lambda what, remedy: told.append(remedy))
    return named(told) - {"logicalTypeOptions", "sparkSql"}


def of_layout() -> set[str]:
    told: list[str] = []
    layout.read_layout("", set(), (), lambda key, what, remedy: told.append(what))
    return named(told)


#: Words that have a line of their own.
ENTRIES: dict[str, Collection[str]] = {
    "custom property of a table": properties.TABLE,
    "custom property of a column": properties.COLUMN,
    "custom property of a rule": properties.QUALITY,
    "custom property of a relationship": properties.RELATIONSHIP,
    "entry of source": [f"source.{name}" for name in source._REQUIRED | source._OPTIONAL],
    "entry of scd2": [f"scd2.{name}" for name in scd2._REQUIRED | scd2._OPTIONAL],
    "kind of source": source.KINDS,
    "option of a column": rules._RULED,
}

#: Words that the line about another one has.
VALUES: dict[str, Collection[str]] = {
    "strategy": get_args(model.Strategy),
    "layout": of_layout(),
    "source.schemaPolicy": get_args(model.SchemaPolicy),
    "scd2": [*scd2.VALIDITY, "_deleted", "_sequence"],
    "slaProperties": [sla.FRESHNESS, sla.GATE_DEADLINE, sla.LATENCY, *sla._UNITS],
    "physicalType": [*types._SIMPLE, "DECIMAL", "ARRAY"],
    "logicalTypeOptions": rules._DESCRIBED,
    "protect": ["tokenise", "mask", rules.MALFORMED_TOKEN.rstrip(":")],
    "metric": metrics(),
    "type: sql": [sql.TABLE_PLACEHOLDER, sql.RUN_END_PLACEHOLDER],
    "engine: sparkSql": ["implementation"],
    f"engine: {rules.ENGINE}": ["implementation", "source", "rows", "sum"],
    "severity": get_args(model.Severity),
    "disposition": get_args(model.Disposition),
    "tolerance": ["rows", "percent"],
} | {kind: list(options) for kind, options in source.KINDS.items()}
VALUES |= {kind: {*VALUES[kind], *form} for kind, form in databases.UNLOAD.items()}
VALUES["files"] = {*VALUES["files"], *files.FORMATS, *(suffix.lstrip(".") for suffix in SUFFIXES)}
VALUES["kafka"] = {*VALUES["kafka"], *kafka.META, *kafka.STARTS}

#: Words that stand anywhere.
MENTIONED = {*_OPERATORS, *(name for name, _ in (*BRONZE_OPERATIONAL, *OPERATIONAL)), CHANGED}


def pairs(of: Mapping[str, Collection[str]]) -> list[tuple[str, str]]:
    return [(name, word) for name, found in of.items() for word in sorted(found)]


@pytest.mark.parametrize(("what", "word"), pairs(ENTRIES))
def test_what_can_be_written_has_a_line(what: str, word: str) -> None:
    assert about(word), f"no line about the {what} '{word}'"


@pytest.mark.parametrize(("head", "word"), pairs(VALUES))
def test_the_line_has_what_can_be_said_there(head: str, word: str) -> None:
    assert word in words(about(head)), f"the line about '{head}' lacks '{word}'"


@pytest.mark.parametrize("word", sorted(MENTIONED))
def test_the_other_words_are_on_the_page(word: str) -> None:
    assert word in words(PROSE)


def test_no_entry_is_told_that_is_none() -> None:
    heads = {head for line in LINES for head in cell(line, 1)}
    told = {head for head in heads if head.startswith(("source.", "scd2."))}
    assert told == {*ENTRIES["entry of source"], *ENTRIES["entry of scd2"]}


def test_rules_that_columns_make_have_the_names_that_are_told(tmp_path: Path) -> None:
    found = contract(tmp_path, SCHEMA)
    made = {"<column>_type"}  # of bronze alone, see lakehouse.bronze.judge
    for rule in found.rules:
        start = "_".join(rule.columns) + "_"
        if rule.columns and rule.name.startswith(start):
            whose = "<key>" if rule.columns == found.primary_key else "<column>"
            made.add(f"{whose}_{rule.name.removeprefix(start)}")
    assert {name for line in LINES for name in cell(line, 3) if name.startswith("<")} == made


def test_only_words_in_backticks_count() -> None:
    assert words("a `b: {c: d}` e `${f}` g") == {"b", "c", "d", "${f}"}


@pytest.fixture
def examples(tmp_path: Path) -> tuple[Contract, Contract]:
    """The first blocks of the page, in folders: contract of a bronze table, contract and SQL of a silver one."""
    bronze, silver, query = BLOCK.findall(TEXT)[:3]
    folders = []
    for text in (bronze, silver):
        layer, table = re.findall(r"^id: (\w+)\.(\w+)$", text, re.M)[0]
        folders.append(tmp_path / layer / table)
        folders[-1].mkdir(parents=True)
        (folders[-1] / FILE).write_text(text)
    (folders[-1] / transform.FILE).write_text(query)
    return load_contract(folders[0]), load_contract(folders[1])


def test_the_examples_are_tables_that_fit_together(examples: tuple[Contract, Contract]) -> None:
    bronze, silver = examples
    assert (bronze.layer, silver.layer) == ("bronze", "silver")
    assert bronze.source
    made = manifest.compile_manifest([one.path.parent for one in examples])
    assert {entry.name: entry.reads for entry in made.entries} == {bronze.name: (), silver.name: (bronze.name,)}


def test_the_sql_of_the_example_gives_the_columns_of_its_contract(examples: tuple[Contract, Contract]) -> None:
    _, silver = examples
    query = transform.parse_transform(silver.path.parent)
    assert query.columns == tuple(column.name for column in silver.columns)
    check_precedence(silver, query, {one.name: one for one in examples})
