"""JUnit XML, as the common CI servers read it. Pure."""

import re
from xml.etree import ElementTree as ET

from deploy_relay_kit.harness.judge.causes import STRICTER, failed
from deploy_relay_kit.harness.judge.model import Case, Result, Verdict, is_stricter
from deploy_relay_kit.harness.judge.report.text import explained
from deploy_relay_kit.harness.witness.printable import printable

# XML 1.0 has no way to write these (section 2.2).
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(result: Result) -> str:
    """A test case for each case, and for each stale entry of the baseline.

    A known failure is `skipped` with its reason; every other failure is `failure`, or `error` when
    the harness is at fault.
    """
    suites = ET.Element("testsuites")
    suite = ET.SubElement(suites, "testsuite", name=_clean(f"deploy relay: {result.relay}"))
    properties = ET.SubElement(suite, "properties")
    for level, number in failed(result).items():
        ET.SubElement(properties, "property", name=f"failed: {level}", value=str(number))
    for case in result.cases:
        _add(suite, case)
    texts = [("baseline", "failure", text) for text in result.stale]
    texts += [("collection", "error", text) for text in result.broken]
    if result.prerequisite:
        texts.append(("prerequisite", "failure", result.prerequisite))
    for kind, tag, text in texts:
        element = ET.SubElement(suite, "testcase", classname=kind, name=_clean(text[:200]))
        _say(element, tag, kind, text)
    suite.attrib |= {
        "tests": str(len(suite.findall("testcase"))),
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
    for id_ in dict.fromkeys(check.requirement for check in case.checks):
        ET.SubElement(properties, "property", name="requirement", value=id_)
    if case.verdict is Verdict.NOT_APPLICABLE:
        needed = ", ".join(dict.fromkeys(check.blocked_by for check in case.checks))
        ET.SubElement(element, "skipped", message=_clean(f"not applicable: {needed}"))
    elif case.verdict.is_red:
        red = [check for check in case.checks if check.verdict.is_red]
        tag = "error" if case.verdict is Verdict.HARNESS_ERROR else "failure"
        apart = STRICTER if all(is_stricter(case, check) for check in red) else ""
        ids = ", ".join(dict.fromkeys(check.requirement for check in red))
        _say(element, tag, f"{case.verdict}{apart}: {ids}", "\n".join(explained(case)))
    elif case.verdict.has_failed:
        reasons = ", ".join(dict.fromkeys(check.known for check in case.checks if check.known))
        ET.SubElement(element, "skipped", message=_clean(f"{case.verdict}: {reasons}"))


def _say(element: ET.Element, tag: str, message: str, text: str) -> None:
    ET.SubElement(element, tag, message=_clean(message)).text = _clean(text)


def _clean(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", printable(text))
