"""Watermarks in SSM Parameter Store: one String parameter a key, `<prefix>/<key>`.

SSM has no compare-and-set. Every write is told its version, though: a gap to the one that was read says that others
wrote in between, and what they wrote can still be read under its version and is taken into account by another write.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from lakehouse import aws
from lakehouse.errors import LakehouseError
from lakehouse.watermarks import text

#: Throttled calls are tried again: SSM allows few writes a second.
_RETRIES = (("mode", "standard"), ("total_max_attempts", 10))


class WatermarkStoreUnavailable(LakehouseError):
    """SSM does not answer, or refuses."""


class SsmStore:
    """Watermarks under a path prefix of SSM. See `lakehouse.watermarks.WatermarkStore`."""

    def __init__(self, prefix: str) -> None:
        """`prefix` is the path that the parameters are under, such as /etl/watermarks."""
        self.prefix = prefix.rstrip("/")

    def get(self, key: str) -> datetime | None:
        """The watermark under `key`."""
        return text.read(self._read(key)[0])

    def all(self) -> dict[str, datetime]:
        """Every watermark under the prefix."""

        def read(client: Any) -> list[dict[str, Any]]:
            pages = client.get_paginator("get_parameters_by_path").paginate(Path=self.prefix)
            return [parameter for page in pages for parameter in page["Parameters"]]

        found = {
            p["Name"].removeprefix(f"{self.prefix}/"): text.read(p["Value"]) for p in self._call(read, self.prefix)
        }
        return {key: value for key, value in sorted(found.items()) if value is not None}

    def update(self, key: str, decide: Callable[[datetime | None], datetime]) -> datetime:
        """Make the watermark what `decide` says. What others wrote meanwhile is decided on too, and wins if it may."""
        raw, seen = self._read(key)
        wanted = decide(text.read(raw))
        while raw != text.write(wanted):
            written = self._write(key, wanted)
            # None where the parameter was deleted and made anew meanwhile: versions count from 1 again.
            buried = [self._version(key, number) for number in range(seen + 1, written)]
            raw, seen = text.write(wanted), written
            if any(value is not None for value in buried):
                # With what was just written: a slow writer's lower value may lie between two higher ones.
                wanted = max(decide(value) for value in [*buried, wanted] if value is not None)
        return wanted

    def _read(self, key: str) -> tuple[str | None, int]:
        """Text and version; None and 0 where there is no such parameter."""
        found = self._call(lambda c: c.get_parameter(Name=f"{self.prefix}/{key}")["Parameter"], key, absent=True)
        return (found["Value"], int(found["Version"])) if found else (None, 0)

    def _version(self, key: str, number: int) -> datetime | None:
        """What was written as version `number`; None where SSM has let go of it."""
        name = f"{self.prefix}/{key}:{number}"
        found = self._call(lambda client: client.get_parameter(Name=name)["Parameter"], key, absent=True)
        return text.read(found["Value"]) if found else None

    def _write(self, key: str, value: datetime) -> int:
        """The version that the value was written as."""
        told = {"Name": f"{self.prefix}/{key}", "Value": text.write(value), "Type": "String", "Overwrite": True}
        return int(self._call(lambda client: client.put_parameter(**told)["Version"], key))

    def _call(self, ask: Callable[[Any], Any], what: str, *, absent: bool = False) -> Any:
        """The answer; None where `absent` is allowed and there is no such parameter or version of it."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return ask(aws.client("ssm", aws.access(), retries=_RETRIES))
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "unknown")
            if absent and code in ("ParameterNotFound", "ParameterVersionNotFound"):
                return None
            raise _unavailable(what, code) from error
        except BotoCoreError as error:
            raise _unavailable(what, type(error).__name__) from error


def _unavailable(what: str, reason: str) -> WatermarkStoreUnavailable:
    return WatermarkStoreUnavailable(
        f"SSM did not serve the watermark {what}: {reason}.",
        f"Check the connection {aws.CONNECTION} and its right to ssm:GetParameter, GetParametersByPath, PutParameter.",
    )
