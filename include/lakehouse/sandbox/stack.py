"""Brings the whole sandbox up and down, and says how it is. What single services are is in `services` and `airflow`."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import psutil

from lakehouse import aws
from lakehouse.config import PROJECT, settings
from lakehouse.sandbox import (
    airflow,
    buckets,
    credentials,
    declared,
    envfile,
    kafka,
    ports,
    postgres,
    processes,
    services,
    vendor,
)
from lakehouse.sandbox.errors import PortTaken, SandboxBroken
from lakehouse.sandbox.layout import Layout
from lakehouse.sandbox.rest import Airflow
from lakehouse.sandbox.services import Site
from lakehouse.sandbox.state import Record, State, StateFile

#: Told (service, what it is doing). Called from several threads.
Progress = Callable[[str, str], None]


@dataclass(frozen=True)
class ServiceStatus:
    """One service as it is now."""

    name: str
    running: bool
    pid: int
    port: int | None
    #: Resident memory of the process and all that came of it, in bytes.
    memory: int
    #: Seconds since it was started.
    age: float


def up(airflow_too: bool, on_progress: Progress, dags: Path | None = None, stream: bool = False) -> str | None:
    """Start what is not running, and return when all of it serves. Returns the UI's address, None without Airflow.

    Running and healthy services are left alone; one whose settings changed is started anew. `dags` (default:
    `LAKEHOUSE_DAGS`, then the project's) is Airflow's DAG folder. `stream`: Kafka, too. Raises LakehouseError;
    what did start keeps running, so that the next `up` is short.
    """
    layout = Layout(settings().home)
    layout.make()
    state_file = StateFile(layout.sandbox)
    with state_file.locked():
        site = _site(layout, state_file, on_progress, dags, airflow_too)
        env = airflow.environment(site)
        envfile.write(envfile.path(layout.home), env)
        wanted = [name for name in services.PLANS if stream or name not in services.OPTIONAL]
        _Starter(site, state_file, on_progress).run(wanted, airflow_too, env)
        return airflow.url(site) if airflow_too else None


def down(on_progress: Progress) -> int:
    """End every process of the sandbox; its data stays. Returns how many services were running."""
    layout = Layout(settings().home)
    if not layout.sandbox.is_dir():
        return 0
    state_file = StateFile(layout.sandbox)
    with state_file.locked():
        records = list(state_file.load().services.values())
        running = sum(processes.alive(record) for record in records)
        # Airflow first, so that its tasks do not fail for want of a server they were using.
        first = [record for record in records if record.name in airflow.COMPONENTS]
        rest = [record for record in records if record.name not in airflow.COMPONENTS]
        for group, grace in ((first, 5.0), (rest, 10.0)):
            for record in group:
                on_progress(record.name, "stopping")
            processes.stop(group, grace)
        processes.sweep(layout.sandbox)
        state_file.change(lambda state: state.services.clear())
    return running


def status() -> list[ServiceStatus]:
    """Every service that was started and not ended by `down`."""
    layout = Layout(settings().home)
    if not layout.sandbox.is_dir():
        return []
    records = StateFile(layout.sandbox).load().services.values()
    return [
        ServiceStatus(
            name=record.name,
            running=_serving(record),
            pid=record.pid,
            port=record.port,
            memory=_memory(record),
            age=time.time() - record.created,
        )
        for record in records
    ]


def _serving(record: Record) -> bool:
    return processes.alive(record) and (record.port is None or ports.answers(record.port))


def _memory(record: Record) -> int:
    total = 0
    if processes.alive(record):
        leader = psutil.Process(record.pid)
        for process in (leader, *leader.children(recursive=True)):
            try:
                total += process.memory_info().rss
            except psutil.Error:
                continue  # Ended between two looks.
    return total


def _site(layout: Layout, state_file: StateFile, on_progress: Progress, dags: Path | None, airflow_too: bool) -> Site:
    """Decide the ports and remember them."""
    state = state_file.load()
    living = {name: record for name, record in state.services.items() if processes.alive(record)}
    chosen: dict[str, int] = {}
    wanted = os.environ.get("LAKEHOUSE_UI_PORT")
    for name in (airflow.UI, *services.PLANS):
        record = living.get(name)
        if name == airflow.UI and wanted and airflow_too:
            chosen[name] = _fixed_ui(wanted, record)
        elif record and record.port:
            chosen[name] = record.port
        else:
            preferred = airflow.UI_PORT if name == airflow.UI else None
            chosen[name] = ports.choose(name, state.ports, chosen.values(), preferred)
            if preferred and airflow_too and chosen[name] not in (preferred, state.ports.get(name)):
                who = ports.owner(preferred) or "another program"
                on_progress(name, f"port {preferred} is taken by {who}; using {chosen[name]}")
    state_file.change(lambda state: state.ports.update(chosen))
    folder = dags or Path(os.environ.get("LAKEHOUSE_DAGS") or PROJECT / "dags")
    if not folder.is_dir():
        raise SandboxBroken(
            f"The DAG folder {folder} does not exist.", "Set LAKEHOUSE_DAGS to one that does, or unset it."
        )
    return Site(layout, credentials.load(layout.sandbox), chosen, folder.resolve())


def _fixed_ui(wanted: str, running: Record | None) -> int:
    if not wanted.isdecimal() or not 0 < int(wanted) < 65536:
        raise PortTaken(f"LAKEHOUSE_UI_PORT is '{wanted}', which is no port.", "Set it to a number from 1024 to 65535.")
    port = int(wanted)
    return port if running and running.port == port else ports.fixed("Airflow's UI", port, "LAKEHOUSE_UI_PORT")


class _Starter:
    """One `up`: independent services at once, Airflow as soon as its database is there."""

    def __init__(self, site: Site, state_file: StateFile, on_progress: Progress) -> None:
        self._site = site
        self._state_file = state_file
        self._progress = on_progress
        self._cancelled = threading.Event()

    def run(self, wanted: Iterable[str], airflow_too: bool, env: dict[str, str]) -> None:
        with ThreadPoolExecutor(max_workers=16) as pool:
            try:
                futures = {name: pool.submit(self._stand_in, name) for name in wanted}
                if airflow_too:
                    futures["airflow"] = pool.submit(self._airflow, env, futures["postgres"], pool)
                self._all(futures.values())
            except BaseException:
                self._cancelled.set()
                raise

    def _all(self, futures: Iterable[Future[None]]) -> None:
        """Wait for all, then raise the first error: the others have started, and the next `up` finds them."""
        done, _ = wait(futures)
        for future in done:
            future.result()

    def _stand_in(self, name: str) -> None:
        self._bring_up(services.PLANS[name](self._site))
        if name == "postgres":
            postgres.create_databases(self._site.ports["postgres"], self._site.credentials.postgres)
        if name == "kafka":
            kafka.make_topics(self._site.ports["kafka"])
        if name == "moto":
            s3 = aws.client("s3", services.aws_access(self._site))
            vendor.fill(s3, self._site.layout.vendor)
            _, _, place = settings().lake.partition("://")
            if place:
                buckets.make(s3, place.partition("/")[0])

    def _airflow(self, env: dict[str, str], database: Future[None], pool: ThreadPoolExecutor) -> None:
        database.result()
        self._progress("airflow-database", "migrating")
        airflow.migrate(self._site, env)
        self._progress("airflow-database", "ready")
        parts = [airflow.component(self._site, env, name) for name in airflow.COMPONENTS]
        self._all([pool.submit(self._bring_up, part) for part in parts])
        with Airflow(airflow.url(self._site)) as api:
            for entry in declared.read().pools:
                api.set_pool(entry.name, entry.slots, entry.description)

    def _bring_up(self, service: processes.Service) -> None:
        folder = self._site.layout.sandbox
        record = self._state_file.load().services.get(service.name)
        if record and processes.alive(record) and record.identity == service.identity and service.ready(0):
            self._progress(service.name, "already running")
            return
        if record:
            # Ended, changed, or not answering: whatever is left of it goes before it comes anew.
            processes.stop([record])
        self._progress(service.name, "starting")
        began = time.monotonic()
        started = processes.start(service, folder)
        self._state_file.change(lambda state: _remember(state, started))
        processes.await_ready(service, started, folder, self._cancelled)
        self._progress(service.name, f"ready in {time.monotonic() - began:.1f} s")


def _remember(state: State, record: Record) -> None:
    state.services[record.name] = record
