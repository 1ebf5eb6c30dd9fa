"""JUnit XML, as the common CI servers read it. Pure."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from harness.judge.report.text import explained
from harness.judge.results import Result
from harness.judge.verdicts import Case, Verdict

# XML 1.0 has no way to write these (section 2.2).
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(result: Result) -> str:
    """One test case for each case, and one for each stale entry of the baseline.

    A failure that the baseline knows is `skipped` with its reason; all others are `failure`, or
    `error` when the harness was at fault.
    """
    suites = ET.Element("testsuites")
    suite = ET.SubElement(suites, "testsuite", name=_clean(f"deploy relay: {result.relay}"))
    for case in result.cases:
        _add(suite, case)
    for kind, texts in (("baseline", result.stale), ("collection", result.broken)):
        for text in texts:
            element = ET.SubElement(suite, "testcase", classname=kind, name=_clean(text[:200]))
            _say(element, "failure" if kind == "baseline" else "error", kind, text)
    suite.attrib |= {
        "tests": str(len(suite)),
        "failures": str(len(suite.findall("*/failure"))),
        "errors": str(len(suite.findall("*/error"))),
        "skipped": str(len(suite.findall("*/skipped"))),
        "time": f"{result.seconds:.3f}",
        "timestamp": result.started,
    }
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=False) + "\n"


def _add(suite: ET.Element, case: Case) -> None:
    element = ET.SubElement(
        suite,
        "testcase",
        classname=_clean(case.file.removesuffix(".py")),
        name=_clean(case.name),
        time=f"{case.seconds:.3f}",
    )
    properties = ET.SubElement(element, "properties")
    for id_ in case.requirements:
        ET.SubElement(properties, "property", name="requirement", value=id_)
    reason = case.flaky or case.known
    if case.verdict is Verdict.NOT_APPLICABLE:
        ET.SubElement(element, "skipped", message=_clean(f"not applicable: {case.text}"))
    elif case.has_failed and not case.is_red:
        ET.SubElement(element, "skipped", message=_clean(f"{case.outcome}: {reason}"))
    elif case.is_red:
        tag = "error" if case.verdict is Verdict.HARNESS_ERROR else "failure"
        _say(
            element,
            tag,
            f"{case.verdict.value}: {', '.join(case.requirements)}",
            "\n".join(explained(case)),
        )


def _say(element: ET.Element, tag: str, message: str, text: str) -> None:
    ET.SubElement(element, tag, message=_clean(message)).text = _clean(text)


def _clean(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
