"""Some stand-ins for the time of a `with`: for tests and benchmarks that need no whole sandbox.

Not for the sandbox itself, whose services outlive the process that starts them (see `lakehouse.sandbox.stack`).
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lakehouse.sandbox import credentials, declared, envfile, ports, postgres, processes, services
from lakehouse.sandbox.layout import Layout


@contextmanager
def serving(home: Path, *names: str) -> Iterator[Mapping[str, str]]:
    """The stand-ins `names` (see `services.PLANS`) over `home`, an empty folder; they end with the block.

    Gives the variables AIRFLOW_CONN_<ID> of their connections. Raises ServiceFailed.
    """
    layout = Layout(home)
    layout.make()
    chosen: dict[str, int] = {}
    for name in services.PLANS:
        chosen[name] = ports.free_port(chosen.values())
    site = services.Site(layout, credentials.load(layout.sandbox), chosen, home)
    started: list[processes.Service] = []
    records = []
    try:
        for name in names:
            started.append(services.PLANS[name](site))
            records.append(processes.start(started[-1], layout.sandbox))
        for service, record in zip(started, records, strict=True):
            processes.await_ready(service, record, layout.sandbox, threading.Event())
        if "postgres" in names:
            postgres.create_databases(chosen["postgres"], site.credentials.postgres)
        told = declared.read().environment(services.endpoints(site))
        envfile.write(envfile.path(home), told)
        yield {name: value for name, value in told.items() if name.startswith("AIRFLOW_CONN_")}
    finally:
        processes.stop(records)
        processes.sweep(layout.sandbox)
        data = layout.sandbox / "postgres"
        if data.is_symlink():  # A folder that is closed to PostgreSQL's account: the data went elsewhere.
            shutil.rmtree(data.resolve().parent)
