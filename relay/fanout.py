"""The deploy to all nodes at once, and its report (SEQ-03, AGG-01…08)."""

import asyncio
import contextlib
import functools
import inspect
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypedDict, Unpack, cast

from deploy_relay_kit.relay.connection import Connections
from deploy_relay_kit.relay.errors import (
    AttemptError,
    InputError,
    OriginError,
    PeerError,
    RelayError,
    Stage,
    check_path,
    check_text,
    check_type,
)
from deploy_relay_kit.relay.events import Event
from deploy_relay_kit.relay.limits import Limits
from deploy_relay_kit.relay.node import AnyPath, LocalSettings, Mint, Node, check_mint, checked
from deploy_relay_kit.relay.payload import measure
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.places import Places
from deploy_relay_kit.relay.report import Record, Report, failed_record, success_record
from deploy_relay_kit.relay.request import forwarded_fields
from deploy_relay_kit.relay.retry import Retry
from deploy_relay_kit.relay.threads import Listener, Share, in_thread, shares
from deploy_relay_kit.relay.tls import Tls, contexts_for
from deploy_relay_kit.relay.upload import Upload, send
from deploy_relay_kit.relay.urls import resolve

Work = Callable[[Peer], Awaitable[Mapping[str, object]]]
ONCE = Retry(attempts=1)


class Reach(TypedDict, total=False):
    """How nodes are reached: the keyword arguments of both `deploy` and `restart`.

    mint: How to get a token, for nodes without `Node.mint`.
    tls: Trusted authorities, and the relay's own certificate.
    limits: Timeouts and size limits.
    local: The origin's own ports, for nodes without a URL.
    origin: Name of the origin, which is left out if it is among the nodes (SEQ-12).
    proxy: URL of an HTTP proxy that tunnels to the nodes (CONNECT), or `env` for that of the
        environment (HTTPS_PROXY, NO_PROXY). By default, and whatever the environment says, none.
    allow_http: Allow connections without TLS to other machines, to operations APIs (http) and
        replication sockets (ws); anyone on the way can then read the token (TLS-06).
    on_event: Called from the event loop with each `Event`; its exceptions are ignored.
    """

    mint: Mint | None
    tls: Tls | None
    limits: Limits | None
    local: LocalSettings | None
    origin: str | None
    proxy: str | None
    allow_http: bool
    on_event: Callable[[Event], None] | None


async def deploy(
    nodes: Iterable[Node],
    request: Mapping[str, object],
    payload: AnyPath,
    *,
    retry: Retry = ONCE,
    ask_for_events: bool = False,
    probe: bool = False,
    legacy: bool = False,
    threads: int | None = None,
    **reach: Unpack[Reach],
) -> Report:
    """Stream one staged payload to all nodes at once and report the result of each.

    A node that fails changes only its own record. All input is checked before anything is
    sent. Cancelling the call closes all connections and files.

    Args:
        nodes: Where to deploy, in the order of the records.
        request: The deploy request; its `operation` is `deploy_component`. Credentials and members
            that matter only to the origin are left out, and `replicated` is sent as false
            (FLD-01…05).
        payload: Path of the staged payload, a gzipped tar file.
        retry: Which failures are tried again; by default none (RTY-01).
        ask_for_events: Ask each peer for its progress (SSE-01); its phases and install lines then
            reach `on_event`. An answer in events is understood in any case.
        probe: Ask each peer for its version first, and deploy to a peer older than 5.1 as with
            `legacy` (VER-01).
        legacy: Send one CBOR body instead of a form, which a peer older than 5.1 does not take
            (VER-03). Such a peer reports no progress, and keeps the whole body in its memory.
        threads: How many threads share the nodes, this one included. None uses as many as
            finish the deploy sooner: one for small deploys, and with a mint of your own, which
            stays in this event loop.
        **reach: `mint`, `tls`, `limits`, `local`, `origin`, `proxy`, `allow_http`, `on_event`; see
            `Reach`.

    Returns:
        The report. An unusable URL or an unreadable payload is a failed record in it.

    Raises:
        InputError: The input is invalid; the text says what to change. Nothing was sent.
    """
    nodes = checked(nodes)
    check_type("retry", retry, Retry, "a relay.Retry(…)")
    switches = {"ask_for_events": ask_for_events, "probe": probe, "legacy": legacy}
    for name, value in switches.items():
        check_type(name, value, bool, "True or False")
    check_path("payload", payload)
    fan = FanOut(nodes, **reach)
    fields = forwarded_fields(request)
    try:
        staged = measure(Path(payload))
    except AttemptError as failure:
        return fan.fail(failure)
    upload = Upload(fields, staged, ask_for_events, probe, legacy)
    on_event = reach.pop("on_event", None)
    others = tuple(node for node in nodes if node.name in fan.names)
    first, *rest = shares(Share(others, upload, retry, {**reach}), threads)
    if not rest:
        return await fan.run(functools.partial(send, upload), retry)

    tell = on_event and functools.partial(_tell, on_event)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(in_thread(functools.partial(_serve, share), tell)) for share in rest
        ]
        tasks.append(group.create_task(_serve(first, on_event)))
    records = {record["node"]: record for task in tasks for record in task.result().records}
    return Report([records[name] for name in fan.names])


async def _serve(share: Share, on_event: Listener) -> Report:
    """Serve the nodes of a share in this event loop."""
    try:
        fan = FanOut(share.nodes, **share.reach, on_event=on_event)
    except InputError as error:  # a file of certificates has changed since the deploy read it
        failure = OriginError("resolve", str(error))
        records = [failed_record(node.name, [failure]) for node in share.nodes]
        for record in records:
            _tell(on_event, Event(str(record["node"]), "settled", {"record": record}))
        return Report(records)
    return await fan.run(functools.partial(send, share.upload), share.retry)


class FanOut:
    """All nodes of a deploy or restart, checked and ready for their work."""

    def __init__(
        self,
        nodes: Iterable[Node],
        *,
        mint: Mint | None = None,
        tls: Tls | None = None,
        limits: Limits | None = None,
        local: LocalSettings | None = None,
        origin: str | None = None,
        proxy: str | None = None,
        allow_http: bool = False,
        on_event: Callable[[Event], None] | None = None,
        last_event: str = "settled",
        in_turn: bool = False,
    ) -> None:
        """`last_event`: the name of each record's event; `in_turn`: one node after another."""
        # AGG-07: fixed before anything is awaited
        nodes = checked(nodes)
        check_type("rolling", in_turn, bool, "True or False")
        if origin is not None:
            check_text("origin", origin)
        for name, value, kind in (
            ("tls", tls, Tls),
            ("limits", limits, Limits),
            ("local", local, LocalSettings),
        ):
            check_type(name, value, kind | None, f"a relay.{kind.__name__}(…)")
        if mint is not None:
            check_mint("mint", mint)
        check_type("allow_http", allow_http, bool, "True or False")
        check_type("on_event", on_event, Callable | None, "a function")
        if inspect.iscoroutinefunction(on_event):  # nobody would await it
            raise InputError("on_event must be a function, not an async function")
        others = [node for node in nodes if origin is None or node.name != origin]
        names = Counter(node.name for node in others)
        if "" in names:
            raise InputError("a node name is empty")
        if duplicates := [name for name, count in names.items() if count > 1]:
            raise InputError(f"duplicate node name {duplicates[0]!r}")
        limits, local = limits or Limits(), local or LocalSettings()
        self._limits = limits
        self._connections = Connections(limits, proxy)
        self._on_event = on_event
        self._last_event = last_event
        self._places = Places(1 if in_turn else limits.concurrency or len(others) or 1, limits)
        self._peers: list[tuple[str, Peer | AttemptError]] = []
        contexts = contexts_for([(node.ca_file, node.verify) for node in others], tls or Tls())
        for node, context in zip(others, contexts, strict=True):
            own = mint if node.mint is None else node.mint
            if own is None:
                raise InputError(f"no credentials for node {node.name!r}; pass mint=")
            peer: Peer | AttemptError
            try:
                api = resolve(node, local, allow_http=allow_http)
                self._connections.proxy_for(api)  # which refuses an endpoint without TLS
                peer = Peer(
                    node, api, context, own, self._connections, local, allow_http, self._emit
                )
            except AttemptError as failure:
                peer = failure
            self._peers.append((node.name, peer))

    async def run(self, work: Work, retry: Retry = ONCE) -> Report:
        """Do the work at every node; cancelling it closes all connections."""
        async with self._connections, asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._settle(*peer, work, retry)) for peer in self._peers]
        return Report([task.result() for task in tasks])

    def fail(self, failure: AttemptError) -> Report:
        """The report of a failure that stops the work at every node before it begins."""
        return Report([self._settled(failed_record(name, [failure])) for name, _ in self._peers])

    @property
    def names(self) -> list[str]:
        """The names of the nodes, in order, without the origin."""
        return [name for name, _ in self._peers]

    def _emit(self, event: Event) -> None:
        _tell(self._on_event, event)

    def _settled(self, record: Record) -> Record:
        self._emit(Event(str(record["node"]), self._last_event, {"record": record}))
        return record

    async def _settle(
        self, name: str, peer: Peer | AttemptError, work: Work, retry: Retry
    ) -> Record:
        """The edge of one node: in every case a record is returned (AGG-02, AGG-04)."""
        if isinstance(peer, AttemptError):
            return self._settled(failed_record(name, [peer]))
        failures: list[AttemptError] = []
        begun = 0
        try:
            async with asyncio.timeout(self._limits.total):
                while True:
                    begun += 1
                    outcome = await self._places.use(lambda: _attempt(work, peer))
                    if not isinstance(outcome, AttemptError):
                        return self._settled(success_record(name, outcome, begun))
                    failures.append(outcome)
                    wait = retry.delay(failures, random.random)
                    if wait is None:
                        break
                    _emit_retry(peer, failures, wait)
                    await asyncio.sleep(wait)
        except TimeoutError:
            if begun > len(failures) or not begun:
                failures.append(_too_late(peer))
        return self._settled(failed_record(name, failures))


def _emit_retry(peer: Peer, failures: Sequence[AttemptError], wait: float) -> None:
    uncertain = any(failure.uncertain for failure in failures)
    data = {"reason": failures[-1].reason, "delay": wait, "attempt": len(failures) + 1}
    peer.emit("retry", {**data, "uncertain": uncertain})


def _too_late(peer: Peer) -> PeerError:
    reason = f"the deploy did not end in {peer.limits.total:g} s"
    stage: Stage = "answer" if peer.doubts else "upload"
    return PeerError(stage, reason, uncertain=bool(peer.doubts))


def _tell(listener: Listener, event: Event) -> None:
    """Call the listener; AGG-08: its exceptions are its own."""
    if listener is not None:
        # The call awaits nothing, so a CancelledError also comes from the listener.
        with contextlib.suppress(Exception, asyncio.CancelledError):
            listener(event)


async def _attempt(work: Work, peer: Peer) -> Mapping[str, object] | AttemptError:
    """The members of a success, or the failure; both without the node's secrets."""
    failure: AttemptError
    try:
        return cast("Mapping[str, object]", peer.secrets.hide(await work(peer)))
    except AttemptError as error:
        failure = error
    except (Exception, asyncio.CancelledError) as error:
        if (task := asyncio.current_task()) and task.cancelling():
            raise  # the whole deploy is cancelled
        failure = RelayError("upload", f"{type(error).__name__}: {error}")
    failure.reason = peer.secrets.hide(failure.reason)
    return failure
