"""The embedded PostgreSQL: Redshift's stand-in (database `shop`) and Airflow's metadata (database `airflow`).

Uses the binaries of the pgserver wheel directly, so that it is a service like the others: on a loopback port, with a
password, ended by the supervisor. The wheel's own launcher knows neither, and opens folders to everybody for root.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.sandbox.errors import ServiceFailed
from lakehouse.sandbox.layout import Layout
from lakehouse.sandbox.ports import HOST

if TYPE_CHECKING:
    import psycopg2.extensions

USER = "lakehouse"
DATABASES = ("airflow", "shop")

#: PostgreSQL refuses to run as root; this account exists everywhere and owns nothing.
UNPRIVILEGED = "nobody"


def account() -> tuple[int, int] | None:
    """Whom to run as: None for ourselves, else user and group id."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam(UNPRIVILEGED)
    return entry.pw_uid, entry.pw_gid


def prepare(layout: Layout, password: str) -> tuple[Path, Path]:
    """The binaries' folder and an initialised data folder. Creates the cluster the first time (1-2 s)."""
    binaries, data = _binaries(), layout.sandbox / "postgres"
    user = account()
    if user and not (_passable(binaries) and _passable(layout.sandbox)):
        binaries, data = _elsewhere(layout, binaries, data)
    if not (data / "PG_VERSION").is_file():
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir(mode=0o700, exist_ok=True)
        if user:
            os.chown(data, *user)
        _initialise(binaries, data, password, user)
    return binaries, data


def command(binaries: Path, data: Path, port: int) -> list[str]:
    """The server's argv: loopback only, no socket file (its path has a length limit), commits not flushed each."""
    options = {
        "listen_addresses": HOST,
        "unix_socket_directories": "",
        "port": str(port),
        "max_connections": "200",
        "synchronous_commit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        # A failing statement would bring its values, and so people's data, into the log.
        "log_min_error_statement": "panic",
        "log_error_verbosity": "terse",
    }
    argv = [str(binaries / "bin" / "postgres"), "-D", str(data)]
    for key, value in options.items():
        argv += ["-c", f"{key}={value}"]
    return argv


def environment(base: Mapping[str, str]) -> dict[str, str]:
    """Only what the server needs: it may run as another account, and libpq variables would lead it astray."""
    return {key: base[key] for key in ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TZ") if key in base}


def answers(port: int, password: str) -> bool:
    """Whether it accepts connections."""
    import psycopg2

    try:
        _connect(port, password, "postgres").close()
    except psycopg2.OperationalError:
        return False
    return True


def create_databases(port: int, password: str) -> None:
    """Create the databases that are not there yet."""
    from psycopg2 import sql

    connection = _connect(port, password, "postgres")
    try:
        connection.autocommit = True  # CREATE DATABASE runs in no transaction.
        with connection.cursor() as cursor:
            cursor.execute("select datname from pg_database")
            known = {str(row[0]) for row in cursor.fetchall()}
            for name in DATABASES:
                if name not in known:
                    cursor.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    finally:
        connection.close()


def note(port: int, password: str, database: str) -> str | None:
    """What `annotate` said of `database`. Kept in the server, so that it is lost with the data it speaks of."""
    connection = _connect(port, password, "postgres")
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "select shobj_description(oid, 'pg_database') from pg_database where datname = %s", (database,)
            )
            row = cursor.fetchone()
            return str(row[0]) if row and row[0] else None
    finally:
        connection.close()


def annotate(port: int, password: str, database: str, text: str) -> None:
    """Note `text` beside `database`."""
    from psycopg2 import sql

    connection = _connect(port, password, "postgres")
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(sql.SQL("comment on database {} is %s").format(sql.Identifier(database)), (text,))
    finally:
        connection.close()


def _connect(port: int, password: str, database: str) -> psycopg2.extensions.connection:
    import psycopg2

    return psycopg2.connect(host=HOST, port=port, user=USER, password=password, dbname=database, connect_timeout=5)


def _binaries() -> Path:
    # find_spec, not import: importing the package makes a lock folder under /tmp.
    found = importlib.util.find_spec("pgserver")
    home = Path(next(iter(found.submodule_search_locations or []), "")) / "pginstall" if found else Path()
    if not (home / "bin" / "postgres").is_file():
        raise ServiceFailed("This Python environment has no PostgreSQL (wheel pgserver).", "Run `make setup`.")
    return home


def _passable(folder: Path) -> bool:
    """Whether every account may pass through to `folder`."""
    return all(part.stat().st_mode & 0o001 for part in (folder, *folder.parents))


def _elsewhere(layout: Layout, binaries: Path, link: Path) -> tuple[Path, Path]:
    """Data and a copy of the binaries under /var/tmp, for root in a checkout that only root can reach (/root, say).

    The data stays this sandbox's: the link in the sandbox is what makes it count, and without it the data is dropped.
    """
    spot = Path("/var/tmp") / f"lakehouse-{sha256(str(layout.home).encode()).hexdigest()[:12]}"  # noqa: S108 (private, below)
    spot.mkdir(mode=0o711, exist_ok=True)
    if spot.stat().st_uid != os.geteuid():
        raise ServiceFailed(f"{spot} belongs to another account.", "Delete it, then run `lakehouse sandbox up` again.")
    if not link.is_symlink():
        shutil.rmtree(spot)
        spot.mkdir(mode=0o711)
        link.symlink_to(spot / "data")
    copy = spot / version("pgserver")
    if not copy.is_dir():
        draft = spot / "copying"
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(binaries, draft / "pgserver" / "pginstall", symlinks=True)
        libraries = binaries.parent.with_name("pgserver.libs")  # Where the binaries look, relative to themselves.
        if libraries.is_dir():
            shutil.copytree(libraries, draft / libraries.name, symlinks=True)
        draft.rename(copy)
    return copy / "pgserver" / "pginstall", spot / "data"


def _initialise(binaries: Path, data: Path, password: str, user: tuple[int, int] | None) -> None:
    with tempfile.NamedTemporaryFile("w", prefix="lakehouse-", suffix=".pw") as secret:
        secret.write(password)
        secret.flush()
        if user:
            os.chown(secret.name, *user)
        argv = [str(binaries / "bin" / "initdb"), "-D", str(data), "-U", USER, "--pwfile", secret.name]
        argv += ["--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync"]
        ran = subprocess.run(
            argv,
            env=environment(os.environ),
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            user=user[0] if user else None,
            group=user[1] if user else None,
            extra_groups=[] if user else None,
        )
    if ran.returncode != 0:
        raise ServiceFailed(
            f"PostgreSQL could not create its data folder {data}: {ran.stderr.strip()[-500:]}",
            "Check free space and permissions there, then run `lakehouse sandbox up` again.",
        )
