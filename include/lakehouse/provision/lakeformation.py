"""Lake Formation: the LF-tag, what carries which of its values, and grants by it.

LF-tags take no tags themselves. Ours are those whose key begins with the owner and a colon, which no
owner has in it; grants are ours that speak of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from lakehouse.provision.calls import Absent, AwsFailed, call, pages
from lakehouse.provision.kinds import Body, Found, Kind

_SERVICE = "lakeformation"


class TagRefused(AwsFailed):
    """Lake Formation took a call and did not do all of it."""


class LfTags(Kind):
    """Key: the tag's key. Body: values {value: true}; values that nobody wants any more stay."""

    name = "lf-tag"

    def __init__(self, owner: str) -> None:
        """Keys that begin with `owner` and : are ours."""
        self.prefix = f"{owner}:"

    def live(self, keys: Collection[str], whole: bool) -> dict[str, Found]:
        """All tags are a page."""
        told = pages(_SERVICE, "list_lf_tags", "LFTags", "LF-tags")
        found = {tag["TagKey"]: {"values": dict.fromkeys(sorted(tag["TagValues"]), True)} for tag in told}
        mine = {key: key.startswith(self.prefix) for key in found}
        return {key: Found(body, mine[key]) for key, body in found.items() if key in keys or (whole and mine[key])}

    def create(self, key: str, body: Body) -> None:
        """With all its values."""
        call(_SERVICE, "create_lf_tag", f"LF-tag {key}", TagKey=key, TagValues=list(body["values"]))

    def update(self, key: str, body: Body, found: Found) -> None:
        """Values are added only: taking one away would take it from what carries it."""
        added = [value for value in body["values"] if value not in found.body["values"]]
        call(_SERVICE, "update_lf_tag", f"LF-tag {key}", TagKey=key, TagValuesToAdd=added)

    def delete(self, key: str, found: Found) -> None:
        """It goes from everything that carries it, and so do the grants by it."""
        try:
            call(_SERVICE, "delete_lf_tag", f"LF-tag {key}", TagKey=key)
        except Absent:
            return


class Assignments(Kind):
    """Key: database or database.table. Body: value of the tag, and columns {name: value} of a table.

    They go with what they are on.
    """

    name = "lf-assignment"

    def __init__(self, tag: str, bodies: Mapping[str, Body]) -> None:
        """`tag` is the key of the LF-tag; the columns of `bodies` are those that are asked for."""
        self.tag = tag
        self.columns = {key: list(body["columns"]) for key, body in bodies.items()}

    def live(self, keys: Collection[str], whole: bool) -> dict[str, Found]:
        """Two calls a table: what it carries itself, and what the columns do that we speak of."""
        return {key: Found(body, True) for key in keys if (body := self._body(key))}

    def _body(self, key: str) -> dict[str, Any]:
        told = self._told(key, _resource(key))
        mine = self._value(told.get("LFTagsOnTable" if "." in key else "LFTagOnDatabase") or ())
        # Not told at all while one of the columns is new and not in the catalog yet.
        named = self._told(key, _resource(key, self.columns[key])) if self.columns.get(key) else {}
        on_columns = [*(told.get("LFTagsOnColumns") or ()), *(named.get("LFTagsOnColumns") or ())]
        columns = {column["Name"]: value for column in on_columns if (value := self._value(column["LFTags"]))}
        return {"value": mine, "columns": columns} if mine or columns else {}

    def _told(self, key: str, resource: dict[str, Any]) -> dict[str, Any]:
        try:
            found: dict[str, Any] = call(
                _SERVICE, "get_resource_lf_tags", f"tags of {key}", Resource=resource, ShowAssignedLFTags=True
            )
        except Absent:
            return {}
        return found

    def _value(self, tags: Sequence[Mapping[str, Any]]) -> str:
        return next((tag["TagValues"][0] for tag in tags if tag["TagKey"] == self.tag), "")

    def create(self, key: str, body: Body) -> None:
        """Table first: until its columns carry theirs, they have the table's."""
        self._assign(key, body, {"value": "", "columns": {}})

    def update(self, key: str, body: Body, found: Found) -> None:
        """Only what differs."""
        self._assign(key, body, found.body)

    def _assign(self, key: str, body: Body, before: Body) -> None:
        if body["value"] != before["value"]:
            self._add(f"{key}", _resource(key), body["value"])
        changed: dict[str, list[str]] = {}
        for column, value in body["columns"].items():
            if before["columns"].get(column) != value:
                changed.setdefault(value, []).append(column)
        for value, columns in changed.items():
            self._add(f"columns of {key}", _resource(key, columns), value)

    def _add(self, what: str, resource: dict[str, Any], value: str) -> None:
        tags = [{"TagKey": self.tag, "TagValues": [value]}]
        told = call(_SERVICE, "add_lf_tags_to_resource", f"tags of {what}", Resource=resource, LFTags=tags)
        failures = told.get("Failures") or []
        if failures:
            code = str(failures[0].get("Error", {}).get("ErrorCode") or "unknown")
            raise TagRefused(
                f"{self.tag}={value} was not put on {what}: {code}.",
                f"Give the role the right to associate the LF-tag {self.tag}, then do it again.",
                code,
            )


def _resource(key: str, columns: Sequence[str] = ()) -> dict[str, Any]:
    database, _, table = key.partition(".")
    if not table:
        return {"Database": {"Name": database}}
    named = {"DatabaseName": database, "Name": table}
    return {"TableWithColumns": {**named, "ColumnNames": list(columns)}} if columns else {"Table": named}


class Grants(Kind):
    """Key: "principal on TABLE" or "... on DATABASE". Body: grants, a sorted list of
    {if: [tag=value,value], permissions}.

    What a principal of ours has by our tag is exactly that: more is revoked, an update as it is.
    """

    name = "grant"

    def __init__(self, owner: str, tag: str) -> None:
        """Grants by LF-tags whose keys begin with `owner` are ours; `tag` is the key they are made by."""
        self.prefix, self.tag = f"{owner}:", tag

    def live(self, keys: Collection[str], whole: bool) -> dict[str, Found]:
        """All grants of the account are read, and those by our tags kept."""
        told: dict[str, dict[tuple[str, ...], set[str]]] = {}
        raw: dict[str, list[Any]] = {}
        for entry in pages(_SERVICE, "list_permissions", "PrincipalResourcePermissions", "grants"):
            policy = entry["Resource"].get("LFTagPolicy") or {}
            terms = policy.get("Expression")
            if terms and all(tag["TagKey"].startswith(self.prefix) for tag in terms):
                key = f"{entry['Principal']['DataLakePrincipalIdentifier']} on {policy['ResourceType']}"
                told.setdefault(key, {}).setdefault(_terms(policy), set()).update(entry["Permissions"])
                raw.setdefault(key, []).append(entry)
        return {
            key: Found({"grants": _sorted(grants)}, True, raw[key])
            for key, grants in told.items()
            if key in keys or whole
        }

    def create(self, key: str, body: Body) -> None:
        """One call a grant."""
        for grant in body["grants"]:
            self._grant(key, grant)

    def update(self, key: str, body: Body, found: Found) -> None:
        """What is too much goes first: nobody sees more in between than before or after."""
        self._revoke(key, found, keep=body["grants"])
        for grant in body["grants"]:
            if grant not in found.body["grants"]:
                self._grant(key, grant)

    def delete(self, key: str, found: Found) -> None:
        """Every grant of the principal by our tags."""
        self._revoke(key, found, keep=())

    def _grant(self, key: str, grant: Mapping[str, Any]) -> None:
        principal, _, kind = key.rpartition(" on ")
        expression = [{"TagKey": tag, "TagValues": values.split(",")} for tag, values in _split(grant["if"])]
        call(
            _SERVICE,
            "grant_permissions",
            f"grant to {key}",
            Principal={"DataLakePrincipalIdentifier": principal},
            Resource={"LFTagPolicy": {"ResourceType": kind, "Expression": expression}},
            Permissions=grant["permissions"],
        )

    def _revoke(self, key: str, found: Found, keep: Sequence[Mapping[str, Any]]) -> None:
        kept = {tuple(grant["if"]): set(grant["permissions"]) for grant in keep}
        for entry in found.raw:
            policy = entry["Resource"]["LFTagPolicy"]
            extra = sorted(set(entry["Permissions"]) - kept.get(_terms(policy), set()))
            if extra:
                try:
                    call(
                        _SERVICE,
                        "revoke_permissions",
                        f"grant to {key}",
                        Principal=entry["Principal"],
                        Resource={"LFTagPolicy": policy},
                        Permissions=extra,
                    )
                except Absent:
                    continue


def _terms(policy: Mapping[str, Any]) -> tuple[str, ...]:
    """An expression as sorted texts, tag=value,value: all of them must hold."""
    return tuple(sorted(f"{tag['TagKey']}={','.join(sorted(tag['TagValues']))}" for tag in policy["Expression"]))


def _split(terms: Sequence[str]) -> Iterator[tuple[str, str]]:
    for term in terms:
        tag, _, values = term.partition("=")
        yield tag, values


def _sorted(grants: Mapping[tuple[str, ...], set[str]]) -> list[dict[str, Any]]:
    return [{"if": list(terms), "permissions": sorted(rights)} for terms, rights in sorted(grants.items())]
