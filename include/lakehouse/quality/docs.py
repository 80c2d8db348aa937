"""Data Docs: one static page a gate run, what each rule promised and what was seen (DQ-3).

Not Great Expectations' own pages: those load style sheets and scripts from the network, and say neither what is usual
nor what is borne, which rule warns only, or which keys to look at.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

from lakehouse.config import settings
from lakehouse.contracts.model import Contract, Rule
from lakehouse.quality.result import GateResult, RuleResult

#: Folder under LAKEHOUSE_HOME.
FOLDER = "data_docs"

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#1c2733}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.4rem .6rem;vertical-align:top;"
    "border-bottom:1px solid #d8dee6}code{background:#f1f4f7;padding:0 .25rem}.failed{background:#fdecec}"
    ".warned{background:#fff6e0}dt{font-weight:600}dd{margin:0}"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem}"
)


def page(table: str, batch_id: str, attempt: str) -> str:
    """Where the page of one attempt's gate lies below the folder: <layer>/<table>/<batch>/<attempt>.html."""
    layer, _, short = table.partition(".")
    return f"{layer}/{short}/{batch_id}/{attempt}.html"


def folder() -> Path:
    """The folder of all pages."""
    return settings().home / FOLDER


def write(contract: Contract, result: GateResult, attempt: str) -> Path:
    """Write the page of `result`, whole or not at all; its path. The same attempt's gate writes over its page."""
    path = folder() / page(result.table, result.batch_id, attempt)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_text(render(contract, result), encoding="utf-8")
    draft.replace(path)
    return path


def render(contract: Contract, result: GateResult) -> str:
    """The page as HTML that needs nothing from anywhere. Failures come first."""
    rules = {rule.name: rule for rule in contract.rules}
    rows = sorted(result.results, key=lambda r: (r.success, r.severity))
    verdict = "passed" if result.passed else "failed, and was overridden" if result.override else "failed"
    facts = {
        "Table": result.table,
        "Verdict": verdict,
        "Rules": f"{len(rows)}, of which {len(result.failures)} failed",
        "Batch": result.batch_id,
        "Run": result.run_id,
        "Candidate": result.candidate,
        "Override": result.override,
        "Contract": f"{contract.version} ({contract.fingerprint})",
        "Owner": contract.owner_email,
        "Seconds": f"{result.seconds:g}",
    }
    said = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts.items() if text)
    title = f"{result.table}: {verdict}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1><dl>{said}</dl>"
        "<table><thead><tr><th>Rule</th><th>Result</th><th>Severity</th><th>Promise</th><th>Seen</th>"
        f"<th>Keys of a few failing rows</th></tr></thead><tbody>{''.join(_row(rules.get(r.rule), r) for r in rows)}"
        "</tbody></table></body></html>\n"
    )


def _row(rule: Rule | None, result: RuleResult) -> str:
    warned = result.severity == "warning"
    mark = "" if result.success else ' class="warned"' if warned else ' class="failed"'
    words = "passed" if result.success else "warned" if warned else "failed"
    keys = "<br>".join(f"<code>{escape(key)}</code>" for key in result.sample)
    cells = [
        f"<code>{escape(result.rule)}</code>",
        words,
        result.severity,
        f"{_promise(rule, result)}",
        escape(result.observed),
        keys,
    ]
    return f"<tr{mark}>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _promise(rule: Rule | None, result: RuleResult) -> str:
    """What the rule asks, in the contract's words."""
    lines = [escape(result.description)] if result.description else []
    if rule is not None:
        text = rule.predicate or str(rule.params.get("query", ""))
        if not text:
            shown = [*rule.columns, *rule.tables]
            text = f"{rule.kind} {', '.join(shown)}".strip()
        lines.append(f"<code>{escape(text)}</code>")
        bounds = {k: v for k, v in rule.params.items() if k.startswith("must") or k in ("unit", "compared_with_runs")}
        lines += [f"<code>{escape(name)}: {escape(str(bound))}</code>" for name, bound in bounds.items()]
    return "<br>".join(lines)
