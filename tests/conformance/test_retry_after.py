"""`Retry-After` in every form of RFC 9110 section 10.2.3, and in forms that it does not have."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from deploy_relay_kit.harness import Answer, FakeCluster, MintAnswer, RequestWitness, in_turn
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.deadlines import THRICE
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import need_retry, temporary

A_TICK = 0.05  # seconds by which a timer may be early
NO_DELAY = 30.0  # seconds; a time that is misread is far longer
SECONDS = {
    "1": ("Retry-After", "1"),
    "1 in lower case": ("retry-after", "1"),
    "1 in capitals": ("RETRY-AFTER", "1"),
    "1 between blanks": ("Retry-After", " \t1\t "),
    "01": ("Retry-After", "01"),
}
A_MINT = "the form of today, at a mint"
LONG_PAUSE = 11  # seconds; some relays wait for no more than 5 or 10
DATES: Mapping[str, str] = {
    "the form of today": "%a, %d %b %Y %H:%M:%S GMT",
    "the form of RFC 850": "%A, %d-%b-%y %H:%M:%S GMT",
    "the form of asctime": "%a %b %e %H:%M:%S %Y",
}
"""RFC 9110 section 5.6.7: a recipient must accept all three."""
NO_TIMES = (
    *("0", "00", "soon", "-1", "-5", "+", "", "nan", "inf", "Infinity", "1e3", "0x1000", "1,000 s"),
    *("1000.5", "+1000", "1000.0", "1000;a=b"),
    *("1000 seconds", "PT1H", "next week", "Thu, 99 Foo 2099 99:99:99 GMT", "\uff12"),
    *("Thu, 01 Jan 1970 00:00:00 GMT", "Thursday, 01-Jan-70 00:00:00 GMT"),
)


def busy(name: str, value: str, status: int = 503) -> Answer:
    return Answer(status, headers=((name, value),))


def test_the_relay_waits_for_seconds_and_for_dates_in_every_form(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """The relay waits for seconds, and until a date in each of the three forms of HTTP."""
    long = str(LONG_PAUSE)
    peers = {name: cluster.peer() for name in (*SECONDS, long, *DATES)}
    until = int(time.time()) + LONG_PAUSE // 2 + 1
    when = datetime.fromtimestamp(until, UTC)
    headers = {**SECONDS, long: ("Retry-After", f"0{long}")}
    headers |= {name: ("Retry-After", when.strftime(form)) for name, form in DATES.items()}
    for name, peer in peers.items():
        peer.fault = in_turn(busy(*headers[name]), None)
    if "mint.operations" in relay.target.capabilities:
        header = ("Retry-After", when.strftime(DATES["the form of today"]))
        peers[A_MINT] = cluster.peer(fault=in_turn(MintAnswer(busy(*header)), None))
    relay.deploy(to=peers.values(), limits=THRICE)

    def attempts(name: str) -> Sequence[RequestWitness]:
        return peers[name].mints if name == A_MINT else peers[name].uploads

    def early(name: str) -> float:
        first, second = attempts(name)
        due = first.times["answer"] + (LONG_PAUSE if name == long else 1)
        if name in (*DATES, A_MINT):
            due = until - time.time() + time.monotonic() - A_TICK
        return due - second.times["head"]

    for name, peer in peers.items():
        with check("KIT-04", f"the beginning of the second attempt after Retry-After in {name}"):
            seen = len(attempts(name))
            check.need(seen == 2, f"{peer.name} saw {seen} attempts")
            if name in (*DATES, A_MINT) and len(peers[long].uploads) == 2:
                check.need(early(long) <= 0, "the relay does not wait as long for seconds, either")
            assert early(name) <= 0, f"expected at the time in it, got {early(name):.3f} s before"


def test_what_is_no_time_in_retry_after_delays_no_retry(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A Retry-After without a time of its grammar, or with one that is over, delays no retry."""
    peers = [
        cluster.peer(fault=in_turn(busy("Retry-After", value.encode().decode("latin-1")), None))
        for value in NO_TIMES
    ]
    with check("RTY-02", "the end of a deploy whose peers name no time in Retry-After"):
        relay.deploy(to=peers, limits=THRICE, deadline=NO_DELAY)
    for value, peer in zip(NO_TIMES, peers, strict=True):
        with check("RTY-02", f"the uploads to a peer that answers 503 with Retry-After: {value}"):
            assert len(peer.uploads) >= 2


def test_a_retry_after_makes_no_other_status_temporary(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """An answer other than 502, 503 and 504 is final, also with Retry-After."""
    final = (200, 202, 301, 307, 400, 403, 408, 413, 425, 429, 500, 501, 507, 520)
    peers = [cluster.peer(fault=busy("Retry-After", "0", status)) for status in final]
    again = temporary(cluster)
    relay.deploy(to=[*peers, again], limits=THRICE)
    for status, peer in zip(final, peers, strict=True):
        with check("RTY-04", f"the uploads after a Retry-After in an answer {status}"):
            need_retry(again)
            check.need(peer.uploads, f"{peer.name} saw no upload")
            assert len(peer.uploads) == 1


TOO_LONG = (
    *("010", "30", "61", "3600", "86400"),
    # In milliseconds or in nanoseconds these are too large for some integers.
    *("2147484", "4294968", "9223372037", "18446744074"),
    *map(str, (1 << 31, (1 << 32) + 1, 1 << 63, (1 << 64) + 1, 10**20, 10**40)),
)
"""Seconds for which no deploy here waits: a relay waits, or gives the node up."""
GIVEN_UP = 2.0  # seconds


def test_no_attempt_comes_before_a_long_time_in_retry_after(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A relay that does not wait as long as Retry-After says makes no other attempt.

    The deploy is cancelled, because a relay may wait for hours.
    """
    later = datetime.now(UTC) + timedelta(days=200)
    days = [later.replace(day=day) for day in (6, 26)]  # that of one digit has a blank or a zero
    values = [*TOO_LONG, *(day.strftime(form) for day in days for form in DATES.values())]
    for after in (GIVEN_UP, 3 * GIVEN_UP):  # a loaded machine has more time
        peers = {it: cluster.peer(fault=in_turn(busy("Retry-After", it), None)) for it in values}
        soon = cluster.peer(fault=in_turn(busy("Retry-After", "0"), None))
        relay.deploy(to=[*peers.values(), soon], limits=THRICE, cancel_after=after)
        if len(soon.uploads) > 1:
            break
    check.need(len(soon.uploads) > 1, f"no second attempt after Retry-After: 0 in {after:g} s")
    for value, peer in peers.items():
        with check("KIT-04", f"the uploads to a peer that answers Retry-After: {value}"):
            check.need(peer.uploads, f"{peer.name} saw no upload")
            assert len(peer.uploads) == 1
