"""Hostile files and lines: each has one exact outcome, and every line that comes in goes out as a row or a fault."""

from __future__ import annotations

import codecs
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.vendor import NAME, read

HEAD = b"SKU,price,note\n"
LONG = "x" * 10 * 2**20
SQL = "'; DROP TABLE x; --"


class Line(str):
    """A line that is set aside: its text."""


class File(str):
    """An object that is set aside: its fault, and a part of the reason after a colon."""


def row(sku: str | None = None, price: str | None = None, note: str | None = None, **more: str) -> dict[str, str]:
    return {k: v for k, v in {"SKU": sku, "price": price, "note": note, **more}.items() if v is not None}


A, B = row("A", "1.10", "one"), row("B", "2", "two")
AB = HEAD + b"A,1.10,one\nB,2,two\n"
UTF8 = HEAD + "A,1.10,Žluťoučký 🐴\n".encode()
HORSE = row("A", "1.10", "Žluťoučký 🐴")
#: A gzip of much that does not pack, cut short.
CUT = gzip.compress(HEAD + b"".join(b"%d,1,%x\n" % (i, i**5) for i in range(30_000)))[:-2000]


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


Case = tuple[bytes, list[Any]]
CSV: dict[str, Case] = {
    "plain": (AB, [A, B]),
    "crlf": (AB.replace(b"\n", b"\r\n"), [A, B]),
    "cr": (AB.replace(b"\n", b"\r"), [A, B]),
    "no_end_of_line_at_the_end": (AB[:-1], [A, B]),
    "gzip": (gzip.compress(AB), [A, B]),
    "gzip_of_two_members": (gzip.compress(AB[:20]) + gzip.compress(AB[20:]), [A, B]),
    "gzip_padded_with_zeros": (gzip.compress(AB) + b"\0" * 512, [A, B]),
    "gzip_of_nothing": (gzip.compress(b""), []),
    "zero_bytes": (b"", []),
    "header_alone": (HEAD, []),
    "header_alone_without_its_end": (HEAD[:-1], []),
    "empty_lines_only": (b"\n\r\n\n", []),
    "empty_lines_between": (b"\n\n" + AB.replace(b"\n", b"\n\n"), [A, B]),
    "mark_utf8": (codecs.BOM_UTF8 + AB, [A, B]),
    "mark_utf8_alone": (codecs.BOM_UTF8, []),
    "mark_utf16_le": (codecs.BOM_UTF16_LE + UTF8.decode().encode("utf-16-le"), [HORSE]),
    "mark_utf16_be": (codecs.BOM_UTF16_BE + UTF8.decode().encode("utf-16-be"), [HORSE]),
    "mark_utf32": (UTF8.decode().encode("utf-32"), [HORSE]),
    "mark_inside_gzip": (gzip.compress(codecs.BOM_UTF8 + AB), [A, B]),
    "utf8": (UTF8, [HORSE]),
    "quoted_newline": (HEAD + b'A,1,"two\nlines"\nB,2,two\n', [row("A", "1", "two\nlines"), B]),
    "quoted_crlf": (HEAD + b'A,1,"two\r\nlines"\r\n', [row("A", "1", "two\r\nlines")]),
    "doubled_quotes": (HEAD + b'A,1,"say ""no"""\n', [row("A", "1", 'say "no"')]),
    "quoted_delimiter": (HEAD + b'A,1,"a,b"\n', [row("A", "1", "a,b")]),
    "quote_inside_a_field": (HEAD + b'A,1,5" pipe\nB,2,two\n', [row("A", "1", '5" pipe'), B]),
    "quoted_empty_is_no_null": (HEAD + b'A,,""\n', [row("A", note="")]),
    "the_word_null_is_no_null": (HEAD + b"A,NULL,NaN\nN/A,nan,null\n", [row("A", "NULL", "NaN"), row("N/A", "nan", "null")]),  # noqa: E501
    "numbers_keep_their_form": (HEAD + b"007,1.10,1e3\n", [row("007", "1.10", "1e3")]),
    "infinities": (HEAD + b"A,Infinity,-inf\n", [row("A", "Infinity", "-inf")]),
    "a_price_of_400_digits": (HEAD + b"A," + b"9" * 400 + b",x\n", [row("A", "9" * 400, "x")]),
    "dates_out_of_range": (HEAD + b"A,1,99999-99-99T25:61:61\n", [row("A", "1", "99999-99-99T25:61:61")]),
    "spaces_are_kept": (HEAD + b" A , 1,\tx \n", [row(" A ", " 1", "\tx ")]),
    "all_fields_empty": (HEAD + b",,\n", [row()]),
    "nul_in_a_field": (HEAD + b"A,1,a\0b\n", [row("A", "1", "a\0b")]),
    "control_characters": (HEAD + b"A,1,\x01\x1b[31m\x7f\n", [row("A", "1", "\x01\x1b[31m\x7f")]),
    "sql_in_a_value": (HEAD + f"A,1,{SQL}\n".encode(), [row("A", "1", SQL)]),
    "formula_in_a_value": (HEAD + b"A,1,=cmd|' /C calc'!A0\n", [row("A", "1", "=cmd|' /C calc'!A0")]),
    "ten_megabytes_in_a_field": (HEAD + f"A,1,{LONG}\nB,2,two\n".encode(), [row("A", "1", LONG), B]),
    "ten_megabytes_with_newlines": (HEAD + b'A,1,"' + b"y\n" * 5 * 2**20 + b'"\n', [row("A", "1", "y\n" * 5 * 2**20)]),
    "separators_of_unicode_end_no_line": (HEAD + "A,1,a\u2028b\x85c\x0bd\n".encode(), [row("A", "1", "a\u2028b\x85c\x0bd")]),  # noqa: E501
    # Lines.
    "too_few_fields": (HEAD + b"A,1\nB,2,two\n", [B, Line("A,1")]),
    "too_many_fields": (HEAD + b"A,1,one,more\nB,2,two\n", [B, Line("A,1,one,more")]),
    "a_line_of_spaces": (HEAD + b"   \nB,2,two\n", [B, Line("   ")]),
    "malformed_twice_alike": (HEAD + b"x\nx\nB,2,two\n", [B, Line("x"), Line("x")]),
    "only_malformed": (HEAD + b"x\ny\n", [Line("x"), Line("y")]),
    "cut_in_a_line": (AB + b"C,3", [A, B, Line("C,3")]),
    "a_second_header": (AB + b"SKU;price;note\n", [A, B, Line("SKU;price;note")]),
    "malformed_ten_megabytes": (HEAD + f"{LONG}\nB,2,two\n".encode(), [B, Line(LONG)]),
    "malformed_with_newline": (HEAD + b'"a\nb",1\nB,2,two\n', [B, Line('"a\nb",1')]),
    # Columns.
    "columns_in_another_order": (b"note,SKU,price\none,A,1.10\n", [A]),
    "columns_in_another_case": (b"sku,PRICE,Note\nA,1,x\n", [{"sku": "A", "PRICE": "1", "Note": "x"}]),
    "an_optional_column_less": (b"SKU,price\nA,1\n", [row("A", "1")]),
    "a_column_more": (b"SKU,price,note,colour\nA,1,x,red\n", [row("A", "1", "x", colour="red")]),
    "sql_in_a_name": (f'SKU,"{SQL}"\nA,x\n'.encode(), [{"SKU": "A", SQL: "x"}]),
    "spaces_dots_backticks_in_names": (b"SKU,a b,a.b,`a`\nA,1,2,3\n", [{"SKU": "A", "a b": "1", "a.b": "2", "`a`": "3"}]),  # noqa: E501
    "newline_in_a_name": (b'SKU,"a\nb"\nA,1\n', [{"SKU": "A", "a\nb": "1"}]),
    "one_column": (b"SKU\nA\nB\n", [row("A"), row("B")]),
    "a_header_of_100_kb": (b"SKU," + b"n" * 100_000 + b"\nA,1\n", [{"SKU": "A", "n" * 100_000: "1"}]),
    "two_thousand_columns": (b"SKU," + b",".join(b"c%d" % i for i in range(1999)) + b"\nA" + b"," * 1999 + b"\n", [row("A")]),  # noqa: E501
    # Objects.
    "header_lacks_the_key": (b"price,note\n1,x\n", [File("file_wrong_header:SKU")]),
    "no_header": (b"A,1.10,one\nB,2,two\n", [File("file_wrong_header:SKU")]),
    "another_delimiter": (AB.replace(b",", b";"), [File("file_wrong_header:SKU")]),
    "a_name_twice": (b"SKU,price,price\nA,1,2\n", [File("file_wrong_header:columns 2 and 3")]),
    "a_name_twice_in_two_cases": (b"SKU,Price,PRICE\nA,1,2\n", [File("file_wrong_header:columns 2 and 3")]),
    "a_column_without_name": (b"SKU,price,\nA,1,\n", [File("file_wrong_header:column 3 has no name")]),
    "a_column_that_the_key_gives": (b"SKU,day\nA,2020-01-01\n", [File("file_wrong_header:column 2")]),
    "columns_of_the_feed_itself": (b"SKU,_fault\nA,x\n", [File("file_wrong_header:column 2")]),
    "too_many_columns": (b"SKU," + b",".join(b"c%d" % i for i in range(2000)) + b"\n", [File("file_wrong_header:2001")]),  # noqa: E501
    "a_header_of_two_megabytes": (b"SKU," + b"n" * 2**21 + b"\nA,1\n", [File("file_wrong_header:no header")]),
    "a_header_that_never_ends": (b'"SKU,price\nA,1\n', [File("file_wrong_header:no record")]),
    "latin_1": (HEAD + "A,1,Käse\n".encode("latin-1"), [File("file_bad_encoding")]),
    "bad_bytes_at_the_very_end": (AB + b"C,3,\xc3", [File("file_bad_encoding")]),
    "half_a_surrogate_pair": (HEAD + b"A,1,\xed\xa0\x80\n", [File("file_bad_encoding")]),
    "utf16_cut_in_half_a_character": (AB.decode().encode("utf-16") + b"\n", [File("file_bad_encoding")]),
    "utf16_with_half_a_surrogate_pair": (codecs.BOM_UTF16_LE + HEAD.decode().encode("utf-16-le") + b"\x00\xd8,\x00,\x00\n\x00", [File("file_bad_encoding")]),  # noqa: E501
    "utf16_without_mark": (AB.decode().encode("utf-16-le"), [File("file_wrong_header:SKU")]),
    "gzip_truncated": (CUT, [File("file_truncated:gzip")]),
    "gzip_of_ten_bytes": (gzip.compress(AB)[:10], [File("file_truncated:gzip")]),
    "gzip_without_its_check_sum": (gzip.compress(AB)[:-8], [File("file_truncated:gzip")]),
    "gzip_with_another_check_sum": (flipped(gzip.compress(AB), -6), [File("file_unreadable:gzip")]),
    "gzip_with_rubbish_behind": (gzip.compress(AB) + b"rubbish", [File("file_unreadable:gzip")]),
    "gzip_broken_inside": (gzip.compress(AB)[:10] + b"\x07" + gzip.compress(AB)[11:], [File("file_unreadable:gzip")]),
    "ends_inside_quotes": (AB + b'C,3,"thr', [File("file_truncated:quoted")]),
    "a_quote_never_closed": (HEAD + b'A,1,"x\nB,2,two\nC,3,c\n', [Line('A,1,"x'), B, row("C", "3", "c")]),
    "quotes_never_closed_in_two_lines": (
        HEAD + b'A,1,"x\nB,2,two\nC,3,"y\nB,2,two\n', [Line('A,1,"x'), B, Line('C,3,"y'), B],
    ),
    "a_quote_closed_before_more_text": (HEAD + b'A,1,"x" y\nB,2,two\n', [Line('A,1,"x" y'), B]),
    "quotes_inside_a_field": (HEAD + b'A,1,5" pipe\nB,2,a"b"c\n', [row("A", "1", '5" pipe'), row("B", "2", 'a"b"c')]),
    "a_quote_in_every_line": (HEAD + b'A,1,"x\n' * 3000 + b"B,2,two\n", [*[Line('A,1,"x')] * 3000, B]),
    "two_records_in_one_quote": (HEAD + b'A,"1\nB,2",x,y\nB,2,two\n', [Line('A,"1\nB,2",x,y'), B]),
    "a_mark_inside": (HEAD + "\ufeffA,1,\ufeff\n".encode(), [row("\ufeffA", "1", "\ufeff")]),
    "a_line_of_70_mb": (HEAD + b'A,1,"' + b"z" * 70 * 2**20, [File("file_unreadable:longer than 64")]),
    "binary": (bytes(range(256)) * 40, [File("file_unreadable:binary")]),
    "a_parquet_file": (b"PAR1\x15\x04\x15\x10\xc3\x28" * 100, [File("file_unreadable:binary")]),
    "a_zip_file": (b"PK\x03\x04\x14\x00\x08\x08\xff\xfe" * 100, [File("file_unreadable:binary")]),
    "a_web_page": (b"<!doctype html>\n<html><body>503</body></html>\n", [File("file_wrong_header:SKU")]),
    "much_of_nothing": (gzip.compress(HEAD + b"\0" * 2**28, 1), [File("file_unreadable:longer than 64")]),
}  # fmt: skip

a, b = b'{"SKU": "A", "price": 1.10, "note": "one"}\n', b'{"SKU": "B", "price": 2, "note": "two"}\n'
JSONL: dict[str, Case] = {
    "plain": (a + b, [A, B]),
    "crlf_and_empty_lines": (b"\r\n" + (a + b).replace(b"\n", b"\r\n") + b"\n  \n", [A, B]),
    "no_end_of_line_at_the_end": ((a + b)[:-1], [A, B]),
    "gzip_with_mark": (gzip.compress(codecs.BOM_UTF8 + a + b), [A, B]),
    "zero_bytes": (b"", []),
    "numbers_keep_their_form": (
        b'{"SKU": 007, "price": 1}\n{"SKU": 7, "price": 123456789012345678901234567890.10, "note": 1E5}\n',
        [row("7", "123456789012345678901234567890.10", "1E5"), Line('{"SKU": 007, "price": 1}')],
    ),
    "a_number_of_5000_digits": (b'{"SKU": "A", "price": ' + b"9" * 5000 + b"}\n", [row("A", "9" * 5000)]),
    "not_a_number": (b'{"SKU": "A", "price": NaN, "note": -Infinity}\n', [row("A", "NaN", "-Infinity")]),
    "true_false_null": (b'{"SKU": true, "price": null, "note": false}\n', [row("true", None, "false")]),
    "nested": (
        '{"SKU": "A", "note": {"a": [1.10, "x\\n", null, true], "é": {}}}\n'.encode(),
        [row("A", note='{"a":[1.10,"x\\n",null,true],"é":{}}')],
    ),
    "names_in_another_order_and_case": (
        b'{"note": "one", "sku": "A", "PRICE": 1}\n', [{"sku": "A", "PRICE": "1", "note": "one"}],
    ),
    "one_name_in_two_cases_of_two_lines": (a + b'{"sku": "B", "price": 2, "note": "two"}\n', [A, B]),
    "a_name_twice": (
        b + b'{"SKU": "A", "SKU": "B"}\n{"SKU": {"x": 1, "x": 2}}\n',
        [B, Line('{"SKU": "A", "SKU": "B"}'), Line('{"SKU": {"x": 1, "x": 2}}')],
    ),
    "a_name_twice_in_two_cases": (a + b'{"SKU": "B", "sku": "C"}\n', [A, Line('{"SKU": "B", "sku": "C"}')]),
    "further_names_late": (
        a + b'{"SKU": "B", "x`; --": 1}\n' + b'{"SKU": "C", "y.z": 2}\n',
        [A, {"SKU": "B", "x`; --": "1"}, {"SKU": "C", "y.z": "2"}],
    ),
    "names_of_the_feed_itself": (a + b'{"SKU": "B", "_raw": "x"}\n', [A, Line('{"SKU": "B", "_raw": "x"}')]),
    "a_name_that_is_empty": (a + b'{"": 1}\n', [A, Line('{"": 1}')]),
    "an_empty_object": (b"{}\n", [row()]),
    "no_json": (a + b"SKU=B\n" + b, [B, A, Line("SKU=B")]),
    "cut_in_a_line": (a + b[:20], [A, Line(b[:20].decode())]),
    "an_array": (b'[{"SKU": "A"}]\n', [Line('[{"SKU": "A"}]')]),
    "values_without_names": (b'"x"\n1\nnull\n', [Line('"x"'), Line("1"), Line("null")]),
    "two_objects_in_a_line": (b'{"SKU": "A"},{"SKU": "B"}\n', [Line('{"SKU": "A"},{"SKU": "B"}')]),
    "an_object_over_two_lines": (
        b'{"SKU": "A",\n"price": 1}\n', [Line('{"SKU": "A",'), Line('"price": 1}')],
    ),
    "halves_that_fit_together": (
        b'{"SKU": ["A"\n"B"]}\n{"SKU":1},{"SKU":2}\n',
        [Line('{"SKU": ["A"'), Line('"B"]}'), Line('{"SKU":1},{"SKU":2}')],
    ),
    "half_a_surrogate_pair": (a + b'{"SKU": "\\ud800"}\n', [A, Line('{"SKU": "\\ud800"}')]),
    "half_a_surrogate_pair_nested": (a + b'{"SKU": ["\\ud800"]}\n', [A, Line('{"SKU": ["\\ud800"]}')]),
    "a_surrogate_pair": (b'{"SKU": "\\ud83d\\udc34"}\n', [row("🐴")]),
    "nul": (b'{"SKU": "a\\u0000b"}\n', [row("a\0b")]),
    "nested_ten_thousand_deep": (
        a + b'{"SKU": ' + b"[" * 10_000 + b"]" * 10_000 + b"}\n",
        [A, Line('{"SKU": ' + "[" * 10_000 + "]" * 10_000 + "}")],
    ),
    "nested_seven_hundred_deep": (
        a + b'{"SKU": ' + b"[" * 700 + b"]" * 700 + b"}\n", [A, Line('{"SKU": ' + "[" * 700 + "]" * 700 + "}")],
    ),
    "ten_megabytes_in_a_value": (f'{{"SKU": "A", "note": "{LONG}"}}\n'.encode() + b, [row("A", None, LONG), B]),
    "csv_in_its_place": (AB, [Line("SKU,price,note"), Line("A,1.10,one"), Line("B,2,two")]),
    "a_line_of_70_mb": (b'{"SKU": "' + b"z" * 70 * 2**20, [File("file_unreadable:longer than 64 MiB")]),
    "too_many_names": (
        b"\n".join(b'{"SKU": "A", "c%d": 1}' % i for i in range(2500)), [File("file_unreadable:different names")],
    ),
    "latin_1": ('{"SKU": "Käse"}\n'.encode("latin-1"), [File("file_bad_encoding")]),
    "gzip_truncated": (gzip.compress(a + b)[:-9], [File("file_truncated:gzip")]),
}  # fmt: skip


def outcome(rows: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    """Rows in an order of their own: the parser puts malformed lines behind the good ones of a block."""
    found = []
    for given in rows:
        given = dict(given)
        assert given.pop("day") == "2025-10-01"
        fault, raw = given.pop("_fault", None), given.pop("_raw", None)
        if fault is None:
            found.append(("row", given))
        elif fault == "line_malformed":
            found.append(("line", raw.rstrip("\r")))
        else:
            found.append(("file", (fault, json.loads(raw))))
        assert fault is None or given == {}
    return sorted(found, key=repr)


def check(root: Path, name: str, content: bytes, expected: list[Any]) -> None:
    found = outcome(read(root, name, content))
    if expected and isinstance(expected[0], File):
        ((kind, (fault, told)),) = found
        wanted, _, reason = expected[0].partition(":")
        assert (kind, fault) == ("file", wanted)
        assert reason in told.pop("reason")
        assert (told["key"], told["size"]) == (name, len(content))
        assert told.keys() == {"key", "etag", "size"}
    else:
        wanted_rows = [("line", str(e)) if isinstance(e, Line) else ("row", e) for e in expected]
        # Not compared by assert: the difference of two texts of ten megabytes takes minutes.
        if found != sorted(wanted_rows, key=repr):
            pytest.fail(f"{repr(found)[:2000]}\n is not \n{repr(sorted(wanted_rows, key=repr))[:2000]}")


@pytest.mark.parametrize("case", CSV)
def test_csv(tmp_path: Path, case: str) -> None:
    check(tmp_path, NAME, *CSV[case])


@pytest.mark.parametrize("case", JSONL)
def test_json_lines(tmp_path: Path, case: str) -> None:
    check(tmp_path, "2025-10-01.jsonl", *JSONL[case])


def test_there_are_enough_of_them() -> None:
    assert len(CSV) + len(JSONL) >= 120
