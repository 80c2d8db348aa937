"""The feed of files: what a delivery is, what its rows are in any shape, and what is said when an object is gone."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.contracts import ContractError
from lakehouse.ingest.files import FilesFeed, delimited, jsonl, passes
from lakehouse.ingest.files.faults import ObjectFault
from lakehouse.ingest.files.stores import Folder, ObjectGone, StoreUnreadable, store
from lakehouse.ingest.landing import land
from tests.vendor import NAME, batches, contract, feed, put, read, rows

HEAD = b"SKU,price,note\n"
field = (
    st.none()
    | st.text(st.characters(codec="utf-8"), max_size=12)
    | st.sampled_from(['"', "\n", "\r\n", ",", ";", "\0"])
)
table = st.integers(2, 5).flatmap(lambda width: st.lists(st.tuples(*[field] * width), min_size=1, max_size=20))


def written(record: tuple[str | None, ...], delimiter: str, end: str) -> str:
    """A record as RFC 4180 has it: null is nothing, every text is quoted."""
    return delimiter.join("" if v is None else '"' + v.replace('"', '""') + '"' for v in record) + end


@given(
    records=table,
    delimiter=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    packed=st.booleans(),
    last=st.booleans(),
    block=st.integers(2, 100) | st.just(4 * 2**20),
    keep=st.sampled_from([0, 2**20]),
)
def test_what_was_written_is_read(tmp_path: Path, records: list[Any], delimiter: str, end: str, encoding: str,
                                  packed: bool, last: bool, block: int, keep: int) -> None:  # fmt: skip
    names = ["SKU", *(f"c{i}" for i in range(1, len(records[0])))]
    text = written(tuple(names), delimiter, end) + "".join(written(r, delimiter, end) for r in records)
    content = (text if last else text.removesuffix(end)).encode(encoding)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "BLOCK", block)
        patch.setattr(passes, "KEEP", keep)
        found = read(tmp_path, NAME, gzip.compress(content) if packed else content, delimiter=delimiter)
    assert found == [
        {**{n: v for n, v in zip(names, record, strict=True) if v is not None}, "day": "2025-10-01"}
        for record in records
    ]


@given(
    pieces=st.lists(st.sampled_from(['"', ",", "\n", "\r", "a", "é", " ", "\0", "1,2\n", '""', '"\n']), max_size=40),
    block=st.integers(1, 9),
)
def test_no_character_is_lost_whatever_the_quotes(tmp_path: Path, pieces: list[str], block: int) -> None:
    """Rows and malformed lines together have every character but quotes, delimiters and ends of lines."""
    put(tmp_path, NAME, ("SKU,note\n" + "".join(pieces)).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "BLOCK", block)
        found = rows(feed(tmp_path))
        patch.setattr(delimited, "BLOCK", 2**20)
        at_once = rows(feed(tmp_path))
    assert sorted(map(str, found)) == sorted(map(str, at_once))
    if [row["_fault"] for row in found if row.get("_fault", "line_malformed") != "line_malformed"]:
        assert [row["_fault"] for row in found] == ["file_truncated"]
        return
    kept = "".join(row.get(name, "") for row in found for name in ("SKU", "note", "_raw"))
    assert sorted(c for c in kept if c not in '",\n\r') == sorted(c for c in "".join(pieces) if c not in '",\n\r')


@given(
    objects=st.lists(st.dictionaries(st.sampled_from(["SKU", "price", "b", "c"]), st.text() | st.none()), min_size=1),
    block=st.sampled_from([1, 50, 2**20]),
    keep=st.sampled_from([0, 2**20]),
    ascii=st.booleans(),
)
def test_objects_that_were_written_are_read(
    tmp_path: Path, objects: list[dict[str, Any]], block: int, keep: int, ascii: bool
) -> None:
    content = "".join(json.dumps(o, ensure_ascii=ascii) + "\n" for o in objects)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsonl, "BLOCK", block)
        patch.setattr(passes, "KEEP", keep)
        found = read(tmp_path, "2025-10-01.jsonl", content.encode())
    assert found == [{**{k: v for k, v in o.items() if v is not None}, "day": "2025-10-01"} for o in objects]


@pytest.mark.parametrize("keep", [0, 2**25])
def test_identical_lines_are_numbered_within_their_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: int
) -> None:
    """In blocks of one record, and whatever lies between; another object begins anew, a shuffled one gives the same."""
    monkeypatch.setattr(delimited, "BLOCK", 64)
    monkeypatch.setattr(passes, "KEEP", keep)
    lines = ["A,1,x", "B,1,x", "A,1,x", "A,1,", 'A,1,""', "bad", "A,1,x", "bad"]
    lines += [*(f"U{i},1,x" for i in range(500)), "B,1,x"]
    put(tmp_path, "2025-10-01.csv", HEAD + "\n".join(lines).encode())
    put(tmp_path, "2025-10-02.csv", HEAD + "\n".join(sorted(lines, reverse=True)).encode())
    found = rows(feed(tmp_path, occurrence="n"))
    wanted = Counter(
        [("A", "x", 1), ("A", "x", 2), ("A", "x", 3), ("B", "x", 1), ("B", "x", 2), ("A", None, 1), ("A", "", 1)]
        + [(f"U{i}", "x", 1) for i in range(500)]
        + [(None, None, 1), (None, None, 2)]
    )
    for day in ("2025-10-01", "2025-10-02"):
        assert Counter((r.get("SKU"), r.get("note"), r["n"]) for r in found if r["day"] == day) == wanted


def test_lines_of_any_size_are_numbered(tmp_path: Path) -> None:
    """DuckDB would need more for a cell of 20 MB than it may take."""
    cell = "x" * 20_000_000
    put(tmp_path, NAME, HEAD + f"A,1,{cell}\nB,1,{cell}\nA,1,{cell}\nA,1,{cell}y\n".encode())
    found = [(r["SKU"], len(r["note"]) - len(cell), r["n"]) for r in rows(feed(tmp_path, occurrence="n"))]
    assert found == [("A", 0, 1), ("B", 0, 1), ("A", 0, 2), ("A", 1, 1)]


def test_a_protected_contract_shows_no_line(tmp_path: Path) -> None:
    line = "A,1,x,jane@example.com"
    found = read(tmp_path, NAME, HEAD + b"B,1,x\n" + line.encode() + b"\n", protect=True)
    (told,) = [json.loads(row["_raw"]) for row in found if "_raw" in row]
    assert told == {"sha256": hashlib.sha256(line.encode()).hexdigest(), "length": len(line), "record": 3}
    jsons = read(tmp_path, "2025-10-01.jsonl", b'{"SKU": "A"}\n\njane@example.com\n', protect=True)
    (told,) = [json.loads(row["_raw"]) for row in jsons if "sha256" in row.get("_raw", "") and "26" not in row["day"]][
        1:
    ]
    assert (told["length"], told["record"]) == (16, 3)
    assert "jane" not in json.dumps(found + jsons)


@pytest.mark.parametrize("content", [b"jane@example.com,1,x\n", HEAD + b"Jane,\xff\n", HEAD + b'"jane'])
def test_an_object_set_aside_shows_nothing_of_what_it_holds(tmp_path: Path, content: bytes) -> None:
    (row,) = read(tmp_path, NAME, content)
    assert row["_fault"].startswith("file_")
    assert "jane" not in row["_raw"].lower()


def test_what_is_delivered(tmp_path: Path) -> None:
    """Keys that fit the pattern, old ones first; sent again is delivered again, the same content is not."""
    for at, name in enumerate(
        ["b/2025-10-02.csv", "2025-10-01.csv", "no-day.csv", ".2025-10-03.csv", ".tmp/2025-10-04.csv"]
    ):
        put(tmp_path, name, HEAD)
        os.utime(tmp_path / "in" / name, (1_000_000 + at, 1_000_000 + at))
    (tmp_path / "in" / "2025-10-09.csv").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "in" / "2025-10-10.csv")
    made = feed(tmp_path)
    before = made.deliveries()
    assert [name.partition("#")[0] for name in before] == ["b/2025-10-02.csv", "2025-10-01.csv"]
    assert made.deliveries() == before
    put(tmp_path, "2025-10-01.csv", HEAD + b"A,1,x\n")
    (again,) = set(made.deliveries()) - set(before)
    assert again.startswith("2025-10-01.csv#")
    assert [piece.spec["key"] for piece in made.plan((), before)] == ["b/2025-10-02.csv", "2025-10-01.csv"]
    names = [piece.name for piece in made.plan((), before)]
    assert names == sorted(names)


def test_an_object_that_is_gone_or_replaced_is_named(tmp_path: Path) -> None:
    put(tmp_path, NAME, HEAD + b"A,1,x\n")
    made = feed(tmp_path)
    (piece,) = made.plan((), made.deliveries())
    put(tmp_path, NAME, HEAD + b"A,1,xx\n")
    with pytest.raises(ObjectGone, match=NAME):
        list(made.read(piece))
    (tmp_path / "in" / NAME).unlink()
    with pytest.raises(ObjectGone, match="let the next run"):
        list(made.read(piece))


def test_an_object_that_changes_between_two_readings_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "KEEP", 0)
    monkeypatch.setattr(delimited, "BLOCK", 64)
    put(tmp_path, NAME, HEAD + b"A,1,x\n" * 100)
    original, readings = delimited.Delimited.batches, []

    def changed(self: delimited.Delimited, content: BinaryIO) -> Iterator[Any]:
        readings.append(content)
        for number, batch in enumerate(original(self, content)):
            if number and len(readings) == 2:
                raise ObjectFault("file_truncated", "gzip ends before its end mark")
            yield batch

    monkeypatch.setattr(delimited.Delimited, "batches", changed)
    with pytest.raises(ObjectGone, match=f"{NAME} changed while it was read"):
        rows(feed(tmp_path))


def test_a_folder_that_is_not_there_and_places_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(StoreUnreadable, match="no folder"):
        feed(tmp_path).deliveries()
    for connection, place in (
        (Folder("/"), "s3://bucket/x"), (object(), "in/"), (object(), "s3:///x"), (Folder("/"), "ftp://x/y")
    ):  # fmt: skip
        with pytest.raises(StoreUnreadable, match="connection"):
            store(connection, place)


def test_a_folder_by_url(tmp_path: Path) -> None:
    put(tmp_path, "a b/2025-10-01.csv", HEAD)
    found = store(Folder("/elsewhere"), (tmp_path / "in").as_uri()).listed()
    assert [s.key for s in found] == ["a b/2025-10-01.csv"]


def test_names_and_links_of_all_kinds_stop_nobody(tmp_path: Path) -> None:
    """A link to itself leads nowhere; a space that does not break is a letter of a name like any other."""
    put(tmp_path, "price\u00a0list/2025-10-01.csv", HEAD)
    (tmp_path / "in" / "loop.csv").symlink_to("loop.csv")
    (name,) = feed(tmp_path).deliveries()
    assert name.startswith("price\u00a0list/2025-10-01.csv#")


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    put(tmp_path, NAME, HEAD)
    (Path(os.fsdecode(os.fsencode(tmp_path / "in") + b"/2025-10-01\xff.csv"))).write_bytes(HEAD)
    with pytest.raises(StoreUnreadable, match="name that is no text"):
        feed(tmp_path).deliveries()


@pytest.mark.parametrize(
    ("name", "options", "wanted"),
    [
        ("2025-10-01.tsv", {}, [{"SKU": "A", "price": "1"}]),
        ("2025-10-01.TSV.GZ", {}, [{"SKU": "A", "price": "1"}]),
        ("2025-10-01.txt", {"format": "csv", "delimiter": "\t"}, [{"SKU": "A", "price": "1"}]),
        ("2025-10-01.txt", {}, [{"_fault": "file_unreadable"}]),
    ],
)
def test_formats(tmp_path: Path, name: str, options: dict[str, str], wanted: list[dict[str, str]]) -> None:
    found = read(tmp_path, name, b"SKU\tprice\nA\t1\n", **options)
    assert [{k: v for k, v in row.items() if k not in ("day", "_raw")} for row in found] == wanted


def test_an_encoding_of_the_contract(tmp_path: Path) -> None:
    found = read(tmp_path, NAME, HEAD + "A,1,Käse\n".encode("cp1252"), encoding="cp1252")
    assert [row["note"] for row in found] == ["Käse"]


def test_the_key_gives_columns(tmp_path: Path) -> None:
    found = read(tmp_path, "2025-10-01.csv", HEAD + b"A,1,x\n", pattern=r"(?P<day>\d{4}-\d\d-\d\d)(?P<note>\.x)?")
    assert found[0]["_fault"] == "file_wrong_header"  # The object has a column note too.
    found = read(tmp_path, "2025-10-01.csv", b"SKU\nA\n", pattern=r"(?P<day>\d{4}-\d\d-\d\d)(?P<note>\.x)?")
    assert found == [{"SKU": "A", "day": "2025-10-01"}]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"pattern": "("}, "no regular expression"),
        ({"format": "xml"}, "format 'xml'"),
        ({"delimiter": "||"}, "delimiter"),
        ({"delimiter": '"'}, "delimiter"),
        ({"encoding": "klingon"}, "encoding 'klingon'"),
        ({"encoding": "hex"}, "encoding 'hex'"),
        ({"occurrence": "nothing"}, "no column"),
        ({"quote": "'"}, "options.quote is unknown"),
    ],
)
def test_options_that_cannot_be_followed(tmp_path: Path, options: dict[str, str], told: str) -> None:
    with pytest.raises(ContractError, match=told):
        contract(tmp_path, **options)


def test_good_and_bad_objects_land_side_by_side(tmp_path: Path) -> None:
    """Landing: the books of a load are its rows and the rows that stand for what could not be read."""
    put(tmp_path, "2025-10-01.csv", HEAD + b"A,1,x\nbad\n")
    put(tmp_path, "2025-10-02.csv.gz", gzip.compress(HEAD)[:-4])
    put(tmp_path, "2025-10-03.csv", HEAD)
    put(tmp_path, "2025-10-04.jsonl", b'{"sku": "B", "colour": "red"}\n{"sku": "C", "size": 1}\n')
    made = feed(tmp_path)
    told = contract(tmp_path)
    assert land(told, made, (), made.deliveries(), str(tmp_path / "landing"), lambda: b"key", lambda line: None) == 5
    files = [pq.read_table(file) for file in sorted((tmp_path / "landing").glob("*.parquet"))]
    assert sorted(name for name in files[2].column_names if name.startswith("extra")) == ["extra:colour", "extra:size"]
    assert [table.column("day").to_pylist() for table in files] == [
        ["2025-10-01"] * 2,
        ["2025-10-02"],
        ["2025-10-04"] * 2,
    ]
    assert {"sku", "price", "note", "day", "_fault", "_raw"} <= set(files[1].column_names)


class Bucket:
    """S3 as boto3 shows it, whose lines break off after so many bytes."""

    def __init__(self, content: bytes, most: int) -> None:
        self.content, self.most, self.ranges = content, most, []

    def get_object(self, Bucket: str, Key: str, IfMatch: str, Range: str = "bytes=0-") -> dict[str, Any]:
        assert (Bucket, Key, IfMatch) == ("b", "k", '"e"')
        low = int(Range[6:-1])
        self.ranges.append(low)
        return {"Body": Broken(self.content[low:], self.most), "ContentLength": len(self.content) - low}


class Broken(io.BytesIO):
    def __init__(self, content: bytes, most: int) -> None:
        super().__init__(content)
        self.most = most

    def read(self, size: int | None = -1) -> bytes:
        from urllib3.exceptions import ProtocolError

        if self.tell() >= self.most:
            raise ProtocolError("line broke")
        return super().read(min(size or -1, self.most - self.tell()))


def test_a_download_goes_on_where_it_broke_off() -> None:
    client = Bucket(os.urandom(100_000), 30_000)
    content, size = store(client, "s3://b/").opened("k", "e")
    with content:
        assert (content.read(), size) == (client.content, 100_000)
    assert client.ranges == [0, 30_000, 60_000, 90_000]


def test_a_download_that_never_gets_a_byte_is_named() -> None:
    client = Bucket(b"x" * 100, 0)
    content, _ = store(client, "s3://b/").opened("k", "e")
    with pytest.raises(StoreUnreadable, match=r"Object k of bucket b cannot be fetched \(ProtocolError\)"):
        content.read()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    import boto3
    from moto import mock_aws

    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        client = boto3.client("s3", "eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")
        client.create_bucket(Bucket="drop", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        yield client


def test_objects_in_a_bucket(tmp_path: Path, bucket: Any) -> None:
    """Listed page by page under the prefix, opened as they were listed, gone or replaced ones named."""
    keys = [f"in/{n:04d} #?%2F é/2025-10-01.csv" for n in range(3)]
    for n, key in enumerate([*keys, "in/folder/", "other/2025-10-01.csv"]):
        bucket.put_object(Bucket="drop", Key=key, Body=HEAD + b"A%d,1,x\n" % n if key[-1] != "/" else b"")
    told = contract(tmp_path, "s3://drop/in/")
    assert told.source
    made = FilesFeed(told, told.source, bucket)
    names = made.deliveries()
    assert [name.rpartition("#")[0] for name in names] == keys
    assert [row["SKU"] for row in rows(made)] == ["A0", "A1", "A2"]
    first, second, _ = made.plan((), names)
    bucket.put_object(Bucket="drop", Key=keys[0], Body=HEAD)
    bucket.delete_object(Bucket="drop", Key=keys[1])
    for piece in (first, second):
        with pytest.raises(ObjectGone):
            list(made.read(piece))
    assert len(set(made.deliveries()) - set(names)) == 1
    bucket.put_object(Bucket="drop", Key=keys[0], Body=HEAD + b"A0,1,x\n")
    assert set(made.deliveries()) < set(names)
    bucket.put_object(Bucket="drop", Key="in/2025-10-02.csv", Body=b"")
    assert len(rows(made)) == 2


def test_a_bucket_that_is_not_there_is_named(tmp_path: Path, bucket: Any) -> None:
    with pytest.raises(StoreUnreadable, match=r"Bucket nowhere cannot be listed \(NoSuchBucket\)"):
        list(store(bucket, "s3://nowhere/x").listed())


def test_moments_are_utc(tmp_path: Path) -> None:
    put(tmp_path, NAME, HEAD)
    (stored,) = store(Folder(str(tmp_path)), "in").listed()
    assert abs((datetime.now(UTC) - stored.modified).total_seconds()) < 60
    assert stored.size == len(HEAD)


def test_batches_of_one_object_have_the_same_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl, "BLOCK", 1)
    put(tmp_path, "2025-10-01.jsonl", b'{"sku": "A"}\n{"SKU": "B", "x": 1}\nbad\n{"Sku": "C", "y": 1}\n')
    found = list(batches(feed(tmp_path)))
    assert len({tuple(batch.schema.names) for batch in found}) == 1
    assert [row["sku"] for batch in found for row in batch.to_pylist()] == ["A", "B", None, "C"]


@pytest.mark.parametrize("pad", range(40))
def test_a_line_end_inside_quotes_survives_wherever_a_block_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pad: int
) -> None:
    monkeypatch.setattr(delimited, "BLOCK", 40)
    found = read(tmp_path, NAME, HEAD + b"A,1," + b"x" * pad + b'\nB,2,"\r\n\r\r\n"\r\nC,3,z\r\n')
    assert [row.get("note") for row in found] == ["x" * pad or None, "\r\n\r\r\n", "z"]
