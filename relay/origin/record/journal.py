"""The deployment record: one row for each deploy, in SQLite (TRK-01…08).

Rows hold no field of the request but the project, so no secret of a client gets there. SQLite is
used from the event loop: a statement writes one small row and waits for no disk (WAL, NORMAL).
"""

import json
import logging
import os
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from deploy_relay_kit.relay.errors import InputError
from deploy_relay_kit.relay.origin.answers import RefusalError

Row = dict[str, Any]
_IS_OPEN = "status NOT IN ('success', 'failed', 'rolled_back')"
_LOG = logging.getLogger(__name__)
_KEPT = 1_000  # rows
_PATIENCE = 0.1  # seconds
_LARGEST = 16_384  # characters of JSON of one event, or of the record of one node
_TEXT = 4_096  # characters of one error
_JSON = {"event_log", "peer_results"}
_COLUMNS = {
    "deployment_id": "TEXT PRIMARY KEY",
    "project": "TEXT NOT NULL",
    "payload_hash": "TEXT",
    "payload_size": "INTEGER",
    "status": "TEXT NOT NULL",
    "phase": "TEXT",
    "event_log": "TEXT NOT NULL DEFAULT '[]'",
    "peer_results": "TEXT",
    "origin_node": "TEXT NOT NULL",
    "restart_mode": "TEXT",
    "started_at": "INTEGER NOT NULL",
    "completed_at": "INTEGER",
    "user": "TEXT",
    "rollback_of": "TEXT",
    "error": "TEXT",
}
_SHORT = ", ".join(name for name in _COLUMNS if name != "event_log")
_MATCHING = """FROM deployments WHERE (:project IS NULL OR project = :project)
AND (:status IS NULL OR status = :status) AND (:since IS NULL OR started_at >= :since)
AND (:until IS NULL OR started_at <= :until)"""
_NEWEST_FIRST = "ORDER BY rowid DESC LIMIT :limit OFFSET :offset"  # a clock may jump back
_Whole = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]  # what SQLite takes


class _Query(msgspec.Struct):
    """Which rows are asked for (TRK-05)."""

    project: str | None = None
    status: str | None = None
    since: _Whole | None = None
    until: _Whole | None = None
    limit: _Whole = 100
    offset: _Whole = 0


def now() -> int:
    """Milliseconds since 1970, as everywhere in the record."""
    return time.time_ns() // 1_000_000


class Journal:
    """The record of one node, in the file `deployments.sqlite` of its directory."""

    def __init__(self, directory: Path, node: str) -> None:
        """Open the record; rows of a process that was killed become failed. Raises InputError."""
        self._node = node
        self._unwritten: dict[str, Row] = {}  # changes that wait for room on the disk
        path = directory / "deployments.sqlite"
        try:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            # Others wait as well while SQLite waits for a lock of another program.
            self._database = sqlite3.connect(path, isolation_level=None, timeout=_PATIENCE)
            self._database.row_factory = sqlite3.Row
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            columns = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())
            self._database.execute(f"CREATE TABLE IF NOT EXISTS deployments ({columns})")
            found = self._database.execute("SELECT name FROM pragma_table_info('deployments')")
            for name in _COLUMNS.keys() - {it["name"] for it in found}:  # of an earlier version
                self._database.execute(f"ALTER TABLE deployments ADD {name} {_COLUMNS[name]}")
            self._database.execute(
                "UPDATE deployments SET status = 'failed', completed_at = ?, "
                f"error = 'the node stopped in phase ' || phase WHERE {_IS_OPEN}",
                (now(),),
            )
        except (sqlite3.Error, OSError) as error:
            raise InputError(f"cannot use {path}: {error}") from None

    def begin(self, row: Mapping[str, object]) -> None:
        """Add a row; a deploy without a record is refused."""
        row = {"origin_node": self._node, "status": "pending", "started_at": now(), **row}
        try:
            # The old rows first: a failure leaves no row of a deploy that is refused.
            self._database.execute(
                "DELETE FROM deployments WHERE rowid IN "
                f"(SELECT rowid FROM deployments {_NEWEST_FIRST})",
                {"limit": -1, "offset": _KEPT - 1},
            )
            self._database.execute(
                f"INSERT INTO deployments ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
                tuple(row.values()),
            )
        except sqlite3.Error as error:
            raise RefusalError(500, f"cannot record the deploy: {error}") from None

    def change(self, deployment_id: str, changes: Mapping[str, object]) -> None:
        """Change a row that has not ended (BUG-32); on a full disk, as soon as there is room."""
        values = {key: json.dumps(it) if key in _JSON else it for key, it in changes.items()}
        if isinstance(error := values.get("error"), str):  # it may quote other nodes
            values["error"] = _text(error[:_TEXT])
        self._unwritten.setdefault(deployment_id, {}).update(values)
        self._write()

    def _write(self) -> None:
        for deployment_id, changes in [*self._unwritten.items()]:
            names = ", ".join(f"{key} = ?" for key in changes)
            try:
                self._database.execute(
                    f"UPDATE deployments SET {names} WHERE deployment_id = ? AND {_IS_OPEN}",
                    (*changes.values(), deployment_id),
                )
            except sqlite3.Error as error:
                _LOG.error("cannot write the record of a deploy: %s", error)
                return
            del self._unwritten[deployment_id]

    def get(self, deployment_id: object) -> Row:
        if not isinstance(deployment_id, str) or not deployment_id:
            raise RefusalError(400, "'deployment_id' is required")
        if (row := self.find(deployment_id)) is None:
            raise RefusalError(400, f"No deployment found with id {deployment_id[:60]!r}")
        return row

    def find(self, deployment_id: str) -> Row | None:
        """One row, if there is one: the record has the newest only."""
        self._write()
        found = self._database.execute(
            "SELECT * FROM deployments WHERE deployment_id = ?", (_text(deployment_id),)
        ).fetchone()
        return None if found is None else self._row(found)

    def list(self, given: Mapping[str, object]) -> dict[str, object]:
        """The rows that match `project`, `status`, `since` and `until`, newest first (TRK-05)."""
        self._write()
        texts = {key: _text(it) if isinstance(it, str) else it for key, it in given.items()}
        try:
            query = msgspec.structs.asdict(msgspec.convert(texts, _Query))
        except msgspec.ValidationError as error:
            raise RefusalError(400, str(error)) from None
        total = self._database.execute(f"SELECT count(*) {_MATCHING}", query).fetchone()[0]
        rows = self._database.execute(f"SELECT {_SHORT} {_MATCHING} {_NEWEST_FIRST}", query)
        return {"deployments": [self._row(it) for it in rows], "total": total}

    def _row(self, found: sqlite3.Row) -> Row:
        changes = self._unwritten.get(found["deployment_id"], {})
        row = {name: changes.get(name, found[name]) for name in found.keys()}  # noqa: SIM118
        for name in _JSON & row.keys():
            row[name] = None if row[name] is None else json.loads(row[name])
        return row


def _text(value: str) -> str:
    """A text without half surrogate pairs, which SQLite refuses."""
    return value.encode(errors="replace").decode()


def bounded(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The data of an event, or the record of a node, which decides how long its answer is."""
    if len(json.dumps(data)) <= _LARGEST:
        return data
    kept = {key: data[key] for key in ("node", "status", "statusCode", "stage") if key in data}
    reason = {"reason": str(data["reason"])[:_TEXT]} if "reason" in data else {}
    return {**kept, **reason, "truncated": True}


class EventLog:
    """The events of a deploy, bounded: the first and the newest, a mark between them (TRK-06)."""

    first, most = 20, 200

    def __init__(self) -> None:
        self._entries: list[Row] = []
        self._dropped = 0

    def add(self, event: str, data: Mapping[str, Any]) -> None:
        self._entries.append({"t": now(), "event": event, "data": bounded(data)})
        if len(self._entries) > self.most - 1:  # leaves room for the mark
            del self._entries[self.first]
            self._dropped += 1

    def entries(self) -> list[Row]:
        if not self._dropped:
            return list(self._entries)
        after = self._entries[self.first :]
        mark = {"t": after[0]["t"], "event": "truncated", "data": {"dropped": self._dropped}}
        return [*self._entries[: self.first], mark, *after]
