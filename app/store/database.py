"""Opening the store: engine, transactions, migrations.

``open_store`` migrates to the newest schema and returns a ``Store``; ``read()`` and ``write()`` give sessions whose
transaction ends with the block. Writers on SQLite begin IMMEDIATE, so that two of them queue instead of failing.
"""

from __future__ import annotations

import contextlib
import fcntl
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from corpora.errors import InvalidInputError, MalmoiError

__all__ = ["DataDirError", "Store", "open_store"]

MIGRATIONS = Path(__file__).resolve().parent / "migrations"
#: Milliseconds that a writer waits for another one.
BUSY_MS = 30_000
#: On these the locks that SQLite needs cannot be trusted.
NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "ceph", "glusterfs"})
#: Key of the PostgreSQL advisory lock that serialises migrations; any constant will do.
MIGRATION_LOCK = 7_221_014


class DataDirError(InvalidInputError):
    """The data directory cannot be used."""

    code = "data_dir_unwritable"


class Store:
    """The opened database."""

    def __init__(self, engine: Engine, data_dir: Path) -> None:
        self.engine = engine
        self.data_dir = data_dir

    @contextlib.contextmanager
    def read(self) -> Iterator[Session]:
        """A session for reading; nothing it does is kept."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Session]:
        """A session whose reads all see the store as it was at the first of them."""
        # SQLite's transactions are snapshots already.
        options = {} if self.engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
        with Session(self.engine.execution_options(**options), expire_on_commit=False) as session:
            yield session

    @contextlib.contextmanager
    def write(self, *, durable: bool = False) -> Iterator[Session]:
        """A session whose transaction is committed at the end of the block, or rolled back by an exception.

        Args:
            durable: wait until the disk has it (a job, an answer given to a client); otherwise SQLite may lose the
                last commits to a power cut, never to a killed process, and stays whole either way.
        """
        engine = self.engine.execution_options(malmoi_write=True, malmoi_durable=durable)
        with Session(engine, expire_on_commit=False) as session, session.begin():
            yield session

    def dispose(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def open_store(database_url: str | None, data_dir: Path) -> Store:
    """Open the store and bring its schema up to date.

    Args:
        database_url: SQLAlchemy URL, or None for SQLite in ``data_dir``.
        data_dir: Folder of files and of the embedded database; made when missing.

    Raises:
        DataDirError: the folder cannot be written, or lies on a network file system.
        InvalidInputError: the URL is of a database that is not supported.
        MalmoiError: the database does not answer.
    """
    data_dir = data_dir.resolve()
    _prepare(data_dir)
    url = make_url(database_url or f"sqlite:///{data_dir / 'malmoi.db'}")
    backend = url.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise InvalidInputError(
            f"'{backend}' is not supported; use sqlite or postgresql+psycopg.", param="database_url"
        )
    if backend == "sqlite":
        _refuse_network(Path(url.database or data_dir))
    if backend == "sqlite":
        engine = create_engine(url, connect_args={"timeout": BUSY_MS / 1000})
    else:
        # A restart of the server leaves dead connections in the pool; each is asked before it is used.
        engine = create_engine(url, pool_pre_ping=True)
    if backend == "sqlite":
        _set_up_sqlite(engine)
    try:
        with _migration_lock(data_dir), engine.connect() as connection:
            _migrate(connection)
    except Exception as exc:
        engine.dispose()
        if isinstance(exc, MalmoiError):
            raise
        raise MalmoiError(f"The database cannot be opened: {_first_line(exc)}", code="database_unavailable") from exc
    return Store(engine, data_dir)


def _first_line(exc: Exception) -> str:
    """What the driver says, without SQLAlchemy's pointer to its documentation."""
    return next(iter(str(getattr(exc, "orig", None) or exc).strip().splitlines()), type(exc).__name__)


def _prepare(data_dir: Path) -> None:
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        # A name of its own: service and workers open the folder at the same time.
        with tempfile.TemporaryFile(dir=data_dir):
            pass
    except OSError as exc:
        raise DataDirError(
            f"The data directory {data_dir} cannot be written: {exc.strerror}. Choose another with --data-dir or mend "
            "its permissions."
        ) from exc


def _refuse_network(path: Path) -> None:
    mounts = Path("/proc/mounts")
    if not mounts.is_file():
        return
    kinds: dict[str, str] = {}
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        _, mount, kind, *_ = line.split(" ")
        kinds[mount.replace("\\040", " ")] = kind
    for parent in (path, *path.parents):
        found = kinds.get(str(parent))
        if found is not None:
            if found in NETWORK_FILE_SYSTEMS:
                raise DataDirError(
                    f"{path} lies on a network file system ({found}), where SQLite loses data; use a local folder, or "
                    "PostgreSQL with MALMOI_DATABASE_URL.",
                    code="network_file_system",
                )
            return


def _set_up_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: object) -> None:
        # The driver's own transaction handling begins too late for IMMEDIATE; ours is explicit.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", f"busy_timeout={BUSY_MS}"):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        writes = options.get("malmoi_write", False)
        if writes:
            # Before BEGIN: inside a transaction SQLite refuses to change it.
            level = "FULL" if options.get("malmoi_durable", False) else "NORMAL"
            connection.exec_driver_sql(f"PRAGMA synchronous={level}").close()
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextlib.contextmanager
def _migration_lock(data_dir: Path) -> Iterator[None]:
    """One migration at a time on this machine; PostgreSQL takes its own lock besides."""
    with (data_dir / ".migrate.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _is_current(connection: Connection) -> bool:
    """Whether the newest migration has been applied; its number stands in its file's name too."""
    newest = max(path.name[1:5] for path in (MIGRATIONS / "versions").glob("v[0-9]*.py"))
    found = inspect(connection).has_table("alembic_version") and connection.scalar(
        text("SELECT version_num FROM alembic_version")
    )
    connection.rollback()
    return found == newest


def _migrate(connection: Connection) -> None:
    if _is_current(connection):
        return
    # Late: a worker, which finds the schema up to date, does without and is there 0.4 s of CPU earlier.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    connection = connection.execution_options(malmoi_write=True)
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_lock({MIGRATION_LOCK})")
    try:
        command.upgrade(config, "head")
        connection.commit()
    finally:
        if connection.dialect.name == "postgresql":
            connection.rollback()
            connection.exec_driver_sql(f"SELECT pg_advisory_unlock({MIGRATION_LOCK})")
            connection.commit()
