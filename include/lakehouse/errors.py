"""The errors people meet. Each says what happened, to what, and what to do about it.

Modules raise their own small subclasses; the CLI prints `str(error)` and no stack trace.
"""


class LakehouseError(Exception):
    """An error with a remedy.

    `what` is one sentence naming the thing it happened to; `remedy` is one sentence telling what to do next.
    """

    def __init__(self, what: str, remedy: str) -> None:
        """Keep both halves, so that machines can show them apart."""
        super().__init__(what, remedy)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        """Both sentences, the remedy on its own line."""
        return f"{self.what}\n  -> {self.remedy}"


class ConfigError(LakehouseError):
    """Configuration is missing or wrong."""
