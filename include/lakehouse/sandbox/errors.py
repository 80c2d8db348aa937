"""What can go wrong with a sandbox."""

from __future__ import annotations

from lakehouse.errors import LakehouseError


class PortTaken(LakehouseError):
    """A port that was asked for by number is in use."""


class ServiceFailed(LakehouseError):
    """A service did not start, or did not become healthy in time."""


class ServiceStuck(LakehouseError):
    """A process of the sandbox survived SIGKILL."""


class SandboxBroken(LakehouseError):
    """A file of the sandbox cannot be used, or a call needs a sandbox that is not running."""


class AirflowRefused(LakehouseError):
    """Airflow's REST API answered with an error, or not at all."""
