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
from typing import Any

from deploy_relay_kit.relay.origin.refusal import RefusalError

Row = dict[str, Any]
_IS_OPEN = "status NOT IN ('success', 'failed', 'rolled_back')"
_LOG = logging.getLogger(__name__)
_KEPT = 1_000  # rows
_PAGE = 100  # rows of a list, by default
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
    "error": "TEXT",
}
_SHORT = ", ".join(name for name in _COLUMNS if name != "event_log")
_FILTERS = {
    "project": ("project = ?", str),
    "status": ("status = ?", str),
    "since": ("started_at >= ?", int),
    "until": ("started_at <= ?", int),
}


def now() -> int:
    """Milliseconds since 1970, as everywhere in the record."""
    return time.time_ns() // 1_000_000


class Journal:
    """The record of one node, in the file `deployments.sqlite` of its directory."""

    def __init__(self, directory: Path, node: str) -> None:
        """Open the record; rows of a process that was killed become failed.

        Raises:
            OSError: The file cannot be used.
        """
        self._node = node
        self._unwritten: dict[str, Row] = {}  # changes that wait for room on the disk
        path = directory / "deployments.sqlite"
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        try:
            self._database = sqlite3.connect(path, isolation_level=None)
            self._database.row_factory = sqlite3.Row
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            columns = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())
            self._database.execute(f"CREATE TABLE IF NOT EXISTS deployments ({columns})")
            self._database.execute(
                "UPDATE deployments SET status = 'failed', completed_at = ?, "
                f"error = 'the node stopped in phase ' || phase WHERE {_IS_OPEN}",
                (now(),),
            )
        except sqlite3.Error as error:
            raise OSError(f"{path}: {error}") from None

    def begin(self, row: Mapping[str, object]) -> None:
        """Add a row.

        Raises:
            RefusalError: It cannot be written; a deploy without a record is not begun.
        """
        row = {"origin_node": self._node, "status": "pending", "started_at": now(), **row}
        try:
            self._database.execute(
                f"INSERT INTO deployments ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
                tuple(row.values()),
            )
            self._database.execute(
                "DELETE FROM deployments WHERE deployment_id IN (SELECT deployment_id "
                "FROM deployments ORDER BY started_at DESC, rowid DESC LIMIT -1 OFFSET ?)",
                (_KEPT,),
            )
        except sqlite3.Error as error:
            raise RefusalError(500, f"cannot record the deploy: {error}") from None

    def change(self, deployment_id: str, changes: Mapping[str, object]) -> None:
        """Change a row that has not ended (BUG-32).

        A full disk stops no deploy: the row is written as soon as there is room.
        """
        values = {key: json.dumps(it) if key in _JSON else it for key, it in changes.items()}
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
        """One row.

        Raises:
            RefusalError: There is none.
        """
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
        conditions, values = ["1"], []
        for name, (condition, kind) in _FILTERS.items():
            if (value := given.get(name)) is not None:
                conditions.append(condition)
                values.append(_checked(name, value, kind))
        where = " AND ".join(conditions)
        total = self._database.execute(
            f"SELECT count(*) FROM deployments WHERE {where}", values
        ).fetchone()[0]
        limit = _checked("limit", given.get("limit", _PAGE), int)
        offset = _checked("offset", given.get("offset", 0), int)
        rows = self._database.execute(
            f"SELECT {_SHORT} FROM deployments WHERE {where} "
            "ORDER BY started_at DESC, rowid DESC LIMIT ? OFFSET ?",
            (*values, limit, offset),
        )
        return {"deployments": [self._row(it) for it in rows], "total": total}

    def _row(self, found: sqlite3.Row) -> Row:
        changes = self._unwritten.get(found["deployment_id"], {})
        row = {name: changes.get(name, found[name]) for name in found.keys()}  # noqa: SIM118
        for name in _JSON & row.keys():
            row[name] = None if row[name] is None else json.loads(row[name])
        return row


def _checked(name: str, value: object, kind: type) -> object:
    """A value for a statement; SQLite takes integers of 63 bits, and text without surrogates."""
    if kind is str and isinstance(value, str):
        return _text(value)
    if kind is int and type(value) is int and 0 <= value < 1 << 63:
        return value
    raise RefusalError(400, f"{name!r} must be {'a text' if kind is str else 'an integer from 0'}")


def _text(value: str) -> str:
    return value.encode(errors="replace").decode()


class EventLog:
    """The events of a deploy, bounded: the first and the newest, a mark between them (TRK-06)."""

    first, most = 20, 200
    _largest = 16_384  # characters of the data of one event

    def __init__(self) -> None:
        self._entries: list[Row] = []
        self._dropped = 0

    def add(self, event: str, data: Mapping[str, Any]) -> None:
        if len(json.dumps(data)) > self._largest:
            data = {"truncated": True}
        self._entries.append({"t": now(), "event": event, "data": data})
        if len(self._entries) > self.most - 1:  # leaves room for the mark
            del self._entries[self.first]
            self._dropped += 1

    def entries(self) -> list[Row]:
        if not self._dropped:
            return list(self._entries)
        after = self._entries[self.first :]
        mark = {"t": after[0]["t"], "event": "truncated", "data": {"dropped": self._dropped}}
        return [*self._entries[: self.first], mark, *after]
