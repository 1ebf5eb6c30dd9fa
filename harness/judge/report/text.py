"""The summary that a person reads in a terminal. Pure."""

import shlex
import textwrap
from collections.abc import Iterator

from deploy_relay_kit.harness.judge.catalogue import every_requirement
from deploy_relay_kit.harness.judge.causes import (
    STRICTER,
    Cause,
    causes,
    count,
    failures,
    summary,
    why_red,
)
from deploy_relay_kit.harness.judge.model import Case, Check, Evidence, Result, Verdict, is_stricter

_WIDTH = 100
_SLOW = 5.0  # seconds, several times what any case takes that nothing delays
_SHOWN = 5  # slow cases
_EXAMPLES = 3  # causes that are shown with what the peers saw
_EXAMPLES_UNTIL = 100  # line of the output after which no cause is
_BRIEF_FROM = 200  # line of the output after which a cause takes a line or two
_LINES = 250  # of the output, after which the other causes are counted
_OTHERS = 2  # looks that an explained cause shows beside its first
_TIMELINE = 24  # lines of a timeline that an example shows
_LONGEST = 300  # characters of a command or a record that an example shows
_RECORDS = 5  # lines of an outcome that an example shows
_ORDER = [Verdict.FAILED, Verdict.HARNESS_ERROR, Verdict.UNTESTABLE]


def lines(result: Result, *, verbose: bool = False) -> Iterator[str]:
    """What a run found: first what matters most, then every cause, then what was not judged.

    Args:
        result: of the run.
        verbose: a line for each requirement, also those that passed, and every cause whole.
    """
    yield from _filled(_headline(result))
    if result.prerequisite and not result.cases:
        yield "The run ended before the cases. --keep-going runs them nevertheless."
    if result.selection:
        yield f"selected: {result.selection}"
    if verbose:
        yield from _every_requirement(result)
    yield from _causes(result, verbose=verbose)
    for text in result.broken:
        yield f"\nharness error: the cases could not run\n{text}"
    yield from _notes(result)
    yield ""
    yield from _filled(summary(result))


def _headline(result: Result) -> str:
    """The verdict on the relay, and what matters most."""
    identity = "" if result.identity in ("", result.relay) else f" ({result.identity})"
    verdict = "passed" if result.passed else "failed"
    if result.prerequisite:
        words = f"first cause: {result.prerequisite}"
    else:
        words = ", ".join(failures(result)) or why_red(result)
    return f"{verdict}: {result.relay}{identity}{': ' if words else ''}{words}"


def _causes(result: Result, *, verbose: bool) -> Iterator[str]:
    """Every cause: the first ones with what the peers saw, the last ones in few lines."""
    found, shown, written = causes(result), set[str](), 0
    has_example, brief = False, False
    for number, cause in enumerate(found):
        if written > _LINES and not verbose:
            left = count(len(found) - number, "more cause")
            ids = " ".join(dict.fromkeys(id_ for it in found[number:] for id_ in it.requirements))
            yield f"\n{left}: -v prints all, --report DIR writes all"
            yield from _filled(ids, "  ")
            return
        if written > _BRIEF_FROM and not verbose:
            if not brief:
                yield "\nfurther causes, in short (-v prints them whole, --report DIR writes them):"
            brief = True
            block = list(_in_short(cause))
        else:
            full = verbose or (number < _EXAMPLES and written < _EXAMPLES_UNTIL)
            if has_example and not full:
                yield "\nwithout what the peers saw (-v prints it, --report DIR writes it):"
            has_example = full
            example = full and cause.case.id not in shown
            block = list(_explained(cause, result.relay, example=example, whole=verbose))
            shown.add(cause.case.id)
        written += sum(text.count("\n") + 1 for text in block)
        yield from block


def _in_short(cause: Cause) -> Iterator[str]:
    check = cause.check
    line = f"{cause.title} ({cause.level}): {cause.ids}: {_said(check)}"
    yield from _filled(cut_middle(line), "  ")
    if check.hint:
        yield from _filled(f"hint: {check.hint}", "    ")


def _said(check: Check) -> str:
    """What one check says, in a line."""
    if check.blocked_by:
        return f"blocked: {check.blocked_by}"
    sides = f"expected {check.expected}, got {check.got}" if check.expected else check.got
    words = f"{check.subject}: {sides}" if check.subject else sides
    return cut_middle(f"{words}; its reason: {check.reason}" if check.reason else words)


def _every_requirement(result: Result) -> Iterator[str]:
    verdicts, stricter = result.verdicts, result.stricter
    for id_, looks in result.by_requirement.items():
        verdict = verdicts[id_]
        cases = {case.id for case, _ in looks}
        blocked = {case.id for case, check in looks if check.verdict is Verdict.UNTESTABLE}
        words = f"{verdict}{STRICTER if id_ in stricter else ''}"
        sentence = every_requirement()[id_].sentence
        several = f", {len(blocked)} of them untestable" if 0 < len(blocked) < len(cases) else ""
        yield f"{words:14} {id_:8} {sentence}  ({count(len(cases), 'case')}{several})"


def _explained(cause: Cause, relay: str, *, example: bool, whole: bool) -> Iterator[str]:
    case, check = cause.case, cause.check
    costs = f"{count(len(cause.requirements), 'requirement')}, {count(len(cause.cases), 'case')}"
    yield f"\n{cause.title} ({cause.level}; {costs}): {cause.ids}"
    yield from _check_lines(check)
    if not check.blocked_by and not check.rule:
        others = cause.others
        for other in others if whole else others[:_OTHERS]:
            yield from _filled(f"also {other.requirement}: {_said(other)}", "  ")
        if len(others) > _OTHERS and not whole:
            yield f"  … and {count(len(others) - _OTHERS, 'more look')} at the same"
    if cause.is_stricter:
        yield from _filled(f"upstream: {every_requirement()[check.requirement].stricter}", "  ")
    yield f"  example: {case.place}"
    if case.title:
        yield from _filled(case.title, "    ")
    if case.error:
        yield textwrap.indent(case.error.rstrip(), "    ")
    if example and case.evidence:
        yield from _evidence_lines(case.evidence, whole=whole)
    yield f"  run it alone: {alone(case, relay)}"


def _check_lines(check: Check) -> Iterator[str]:
    """What one check says: the demand, what was expected and seen, a likely mistake."""
    if check.blocked_by:
        yield from _filled(f"blocked: {check.blocked_by}", "  ")
        return
    yield from _filled(every_requirement()[check.requirement].sentence, "  ")
    where = f" ({check.where})" if check.where else ""
    subject = f"{check.subject}: " if check.subject else ""
    if check.expected:
        yield from _filled(f"{subject}expected {check.expected}", "  ")
        yield from _filled(f"got {check.got}{where}", "  ")
    elif check.got:
        yield from _filled(f"{subject}{check.got}{where}", "  ")
    if check.reason:
        yield from _filled(f"the relay's reason: {check.reason}", "  ")
    if check.hint:
        yield from _filled(f"hint: {check.hint}", "  ")


def explained(case: Case) -> Iterator[str]:
    """Everything known of a case that did not pass, line by line."""
    for check in case.checks:
        if check.verdict.has_failed:
            level = every_requirement()[check.requirement].level
            stricter = STRICTER if is_stricter(case, check) else ""
            yield f"{check.verdict}{stricter}: {check.requirement} ({level})"
            yield from _check_lines(check)
    if case.error:
        yield case.error
    if case.evidence:
        yield from _evidence_lines(case.evidence, whole=True)


def _evidence_lines(evidence: Evidence, *, whole: bool = False) -> Iterator[str]:
    parts = {
        "the relay was told": _by_deploy(evidence.commands, whole=whole),
        "the relay reported": _by_deploy(evidence.reported, whole=whole),
        "it wrote": evidence.wrote.rstrip().splitlines(),
        "the peers saw": evidence.seen.rstrip().splitlines(),
        "traceback": evidence.trace.rstrip().splitlines(),
    }
    for title, text in parts.items():
        if not text:
            continue
        yield f"  {title}:"
        kept = text if whole else text[:_TIMELINE]
        yield from (f"    {line}" for line in kept)
        if len(kept) < len(text):
            yield f"    … {count(len(text) - len(kept), 'more line')}; --report writes all"


def cut_middle(text: str, longest: int = 240) -> str:
    """One line of a text, without its middle when it is long."""
    text = " ".join("; ".join(filter(None, text.split("\n"))).split())
    half = longest // 2
    return text if len(text) <= longest else f"{text[:half]} … {text[-half:]}"


def _by_deploy(texts: list[str], *, whole: bool) -> list[str]:
    if not whole:
        texts = [_beginning(it) for it in texts]
    if len(texts) == 1:
        return texts[0].splitlines()
    numbered = [f"deploy {number}: {text}" for number, text in enumerate(texts, 1)]
    return [line for text in numbered for line in text.splitlines()]


def _beginning(text: str) -> str:
    """The first lines of a long text, of each the first characters."""
    if len(text) <= _LONGEST:
        return text
    whole = text.splitlines()
    kept = [it if len(it) <= _LONGEST else f"{it[:_LONGEST]}…" for it in whole[:_RECORDS]]
    if len(whole) > _RECORDS:
        kept.append(f"… {count(len(whole) - _RECORDS, 'more line')}; --report writes all")
    return "\n".join(kept)


def _notes(result: Result) -> Iterator[str]:
    """What is not a failure of a case, and matters nevertheless."""
    if slow := [case for case in result.cases if case.seconds > _SLOW]:
        slow.sort(key=lambda case: -case.seconds)
        names = ", ".join(f"{case.name} {case.seconds:.0f} s" for case in slow[:_SHOWN])
        yield from _filled(f"\nslowest of {count(len(slow), 'slow case')}: {names}")
    if result.stale:
        yield "\nstale in the baseline:"
        yield from (f"  {text}" for text in result.stale)
    if unjudged := not_judged(result):
        yield "\nnot judged:"
        for reason, ids in unjudged.items():
            yield from _filled(f"{reason}: {' '.join(ids)}", "  ")


def not_judged(result: Result) -> dict[str, list[str]]:
    """The requirements that were not judged, by the least that the target would have to declare."""
    found: dict[str, list[str]] = {}
    verdicts = result.verdicts
    for id_, looks in result.by_requirement.items():
        if verdicts[id_] is Verdict.NOT_APPLICABLE:
            needed = [set(check.blocked_by.split(", ")) for _, check in looks if check.blocked_by]
            least = [it for it in needed if not any(other < it for other in needed)]
            reasons = dict.fromkeys(" and ".join(sorted(it)) for it in least)
            found.setdefault(f"without {' or '.join(sorted(reasons))}", []).append(id_)
    return found


def alone(case: Case, relay: str) -> str:
    """The command that runs this case alone."""
    return f"relay-harness run --relay {shlex.quote(relay)} --case {shlex.quote(case.place)}"


def _filled(text: str, indent: str = "") -> Iterator[str]:
    """Lines of a terminal's width; line ends in the text stay."""
    for line in text.split("\n"):
        yield textwrap.fill(
            line,
            _WIDTH,
            initial_indent=indent,
            subsequent_indent=f"{indent}  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
