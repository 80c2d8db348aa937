"""Where the sandbox of one LAKEHOUSE_HOME keeps what, and with whose permissions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """The folders of one sandbox."""

    home: Path

    @property
    def sandbox(self) -> Path:
        """State, secrets, environment, and the folders below."""
        return self.home / "sandbox"

    @property
    def mail(self) -> Path:
        """Every mail the platform sent, one .eml each."""
        return self.sandbox / "mail"

    @property
    def snowflake(self) -> Path:
        """One database file per Snowflake database."""
        return self.sandbox / "snowflake"

    @property
    def vendor(self) -> Path:
        """What vendors sent to S3, whose stand-in forgets."""
        return self.sandbox / "vendor"

    @property
    def web(self) -> Path:
        """Rows of Salesforce and the exchange rate API."""
        return self.sandbox / "web"

    @property
    def kafka(self) -> Path:
        """Settings and topics of the Kafka broker."""
        return self.sandbox / "kafka"

    @property
    def spark(self) -> Path:
        """Configuration and scratch of the Spark Connect server."""
        return self.sandbox / "spark"

    @property
    def scratch(self) -> Path:
        """TMPDIR of the servers."""
        return self.sandbox / "tmp"

    @property
    def airflow(self) -> Path:
        """AIRFLOW_HOME."""
        return self.home / "airflow"

    @property
    def lineage(self) -> Path:
        """OpenLineage events."""
        return self.home / "lineage"

    def make(self) -> None:
        """Create the folders. All but the top ones are their owner's alone."""
        self.home.mkdir(parents=True, exist_ok=True)
        # Others may pass through, not look: PostgreSQL runs under another account where the caller is root.
        self.sandbox.mkdir(exist_ok=True)
        self.sandbox.chmod(0o711)
        for folder in (self.mail, self.snowflake, self.web, self.spark, self.scratch, self.airflow, self.lineage):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o700)
