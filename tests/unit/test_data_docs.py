"""A gate's page: all of its words, none of them as markup, nothing from the network."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from lakehouse.config import settings
from lakehouse.contracts import Rule
from lakehouse.quality import GateResult, RuleResult
from lakehouse.quality.docs import page, render, write
from tests.unit.test_quality_measure import contract

RULES = (
    Rule("light", "row", (), severity="warning", predicate="weight < 40", params={"mustBeLessThan": 5, "unit": "rows"}),
    Rule("known", "one_of", ("size",), predicate="size IN ('<b>')"),
    Rule("few", "row_count", (), params={"mustBeGreaterThan": 0}),
)
RESULT = GateResult(
    "silver.parcels",
    "b-1",
    "r-1",
    False,
    (
        RuleResult("few", "row_count", "critical", True, None, "9 rows", ""),
        RuleResult("light", "row", "warning", False, 7, "7 failing rows", "Vans bear no more."),
        RuleResult("known", "one_of", "critical", False, 1, "1 failing row", "", 1.0, ('{"id":"<script>"}',)),
    ),
    0.5,
    "c0ffee",
)


class Page(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.tags, self.rows, self.links = set(), [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag == "tr":
            self.rows.append((dict(attrs).get("class", ""), []))

    def handle_data(self, data):
        if self.rows:
            self.rows[-1][1].append(data)


def test_the_page_tells_all_and_failures_first():
    told = Page(render(contract(*RULES), RESULT))
    marks = [(mark, words[0]) for mark, words in told.rows[1:]]
    assert marks == [("failed", "known"), ("warned", "light"), ("", "few")]
    known, light = told.rows[1][1], told.rows[2][1]
    assert known[-1] == '{"id":"<script>"}'
    assert "size IN ('<b>')" in known
    assert {"Vans bear no more.", "weight < 40", "mustBeLessThan: 5", "7 failing rows"} <= set(light)


def test_nothing_is_markup_and_nothing_is_fetched():
    told = Page(render(contract(*RULES), RESULT))
    assert not told.tags & {"script", "b", "link", "img"}
    assert told.links == []


@pytest.mark.parametrize(
    ("result", "verdict"),
    [
        (RESULT, "failed"),
        (replace(RESULT, override="o-1"), "failed, and was overridden"),
        (replace(RESULT, passed=True), "passed"),
    ],
)
def test_the_verdict(result, verdict):
    assert f"<title>silver.parcels: {verdict}</title>" in render(contract(*RULES), result)


def test_a_page_lies_under_the_home(tmp_path, monkeypatch):
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
    settings.cache_clear()
    try:
        path = write(contract(*RULES), RESULT, "a-1")
    finally:
        settings.cache_clear()
    assert path == tmp_path / "data_docs" / page("silver.parcels", "b-1", "a-1")
    assert [p.name for p in path.parent.iterdir()] == ["a-1.html"]
