"""Bytes of an object as checked UTF-8: gunzipped where they are gzip, decoded, without a byte order mark.

What the bytes themselves say (gzip's magic number, a byte order mark) counts for more than names and options.
"""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zlib
from typing import BinaryIO

from lakehouse.ingest.files.faults import BAD_ENCODING, TRUNCATED, UNREADABLE, ObjectFault

#: Bytes read at a time.
CHUNK = 2**20
#: Byte order marks, the longer ones first: one begins with another.
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: What no text has in it.
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1f]")


def utf8(content: BinaryIO, encoding: str) -> io.BufferedReader:
    """`content` as UTF-8, to be read with `read(n)`. Reading raises ObjectFault. Closing it closes `content`."""
    return io.BufferedReader(_Utf8(content, encoding), CHUNK)


class _Utf8(io.RawIOBase):
    def __init__(self, content: BinaryIO, encoding: str) -> None:
        self._content = content
        self._bytes: io.BufferedReader | gzip.GzipFile = io.BufferedReader(_Raw(content), CHUNK)
        if self._bytes.peek(2)[:2] == b"\x1f\x8b":
            self._bytes = gzip.GzipFile(fileobj=self._bytes)
        self._encoding = encoding
        self._decoder: codecs.IncrementalDecoder | None = None
        self._read = 0
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        ended = False
        while not self._left and not ended:
            chunk = self._chunk()
            ended = not chunk
            self._left = memoryview(self._decoded(chunk))
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def _chunk(self) -> bytes:
        try:
            return self._bytes.read(CHUNK)
        except EOFError:
            raise ObjectFault(TRUNCATED, "gzip ends before its end mark") from None
        except (gzip.BadGzipFile, zlib.error):
            raise ObjectFault(UNREADABLE, f"gzip is broken after {self._read} unpacked bytes") from None

    def _decoded(self, chunk: bytes) -> bytes:
        if self._decoder is None:
            self._encoding = next((name for mark, name in MARKS if chunk.startswith(mark)), self._encoding)
            self._decoder = codecs.getincrementaldecoder(self._encoding)("strict")
        try:
            # Encoding fails too: some codecs let halves of surrogate pairs through, which UTF-8 cannot hold.
            text = self._decoder.decode(chunk, final=not chunk).encode()
        except UnicodeError:
            if _BINARY.search(chunk) and not self._encoding.startswith(("utf-16", "utf-32")):
                raise ObjectFault(UNREADABLE, f"binary data after byte {self._read}") from None
            reason = f"bytes after byte {self._read} are no {self._encoding}"
            raise ObjectFault(BAD_ENCODING, reason) from None
        self._read += len(chunk)
        return text

    def close(self) -> None:
        self._content.close()
        super().close()


class _Raw(io.RawIOBase):
    """Content that may give fewer bytes than asked for, as a raw stream."""

    def __init__(self, content: BinaryIO) -> None:
        self._content = content

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._content.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
