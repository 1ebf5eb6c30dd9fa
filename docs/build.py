"""Write the sources of the documentation site into a directory, and build it there, strictly.

`python docs/build.py DIR` needs the extra `docs`; the site is in DIR/site. The pages of this
directory come first; the pages of requirements, faults and public names are generated. With
`--failures`, which takes a minute, the page of a requirement shows what a failure of it looks like.
"""

import argparse
import inspect
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import faults  # beside this script

from deploy_relay_kit import harness, relay
from deploy_relay_kit.harness.judge.catalogue import Requirement, every_requirement, sources
from deploy_relay_kit.harness.judge.explain import after_every_case, every_case
from deploy_relay_kit.harness.judge.hints import hints

ROOT = Path(__file__).parents[1]
FAILURES = "failures"
TOP = ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "CODE_OF_CONDUCT.md")
_OUTSIDE = re.compile(r"\]\(\.\./([\w./-]+)\)")  # links of docs/ to files of the repository
_LOADS = re.compile(
    r'<(?:script|img|iframe|source)\b[^>]*\bsrc="?(?:https?:)?//[^">\s]+'
    r'|<link\b(?=[^>]*\brel="?(?:stylesheet|preload|icon))[^>]*\bhref="?(?:https?:)?//[^">\s]+'
    r'|class="?mermaid\b'  # for which the theme loads a script
)


def main(directory: Path, *, failures: bool) -> int:
    """Write the sources and build the site; return the exit code of MkDocs."""
    pages = directory / "pages"
    pages.mkdir(parents=True)
    if failures:
        command = [sys.executable, "-m", "tests.mutants.failures", str(directory / FAILURES)]
        subprocess.run(command, cwd=ROOT, check=True)  # noqa: S603 - our own
    for page, text in [
        *_written(pages),
        *_of_requirements(directory / FAILURES),
        ("faults.md", faults.page()),
        *_of_names(),
    ]:
        path = pages / page
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    shutil.copy(ROOT / "mkdocs.yml", directory)
    # With --quiet, MkDocs would count no warning.
    build = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}  # an advertisement of another program
    done = subprocess.run(build, cwd=directory, env=quiet, check=False)  # noqa: S603 - our own
    if elsewhere := sorted({*loaded_from_elsewhere(directory / "site")}):
        sys.exit("\n".join(["a page loads from another server:", *elsewhere]))
    return done.returncode


def loaded_from_elsewhere(site: Path) -> Iterator[str]:
    """What the pages load from other servers, so that they do not work without them."""
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        for found in _LOADS.findall(text):
            yield f"{page.relative_to(site)}: {found}"


def _written(pages: Path) -> Iterator[tuple[str, str]]:
    """The pages of the repository, with links that work in the site."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    yield "index.md", readme.replace("](docs/", "](")
    for name in TOP:
        yield name, (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
    for file in (*(ROOT / "docs").glob("*.svg"), ROOT / "docs" / "site.css"):
        shutil.copy(file, pages)
    for path in sorted((ROOT / "docs").rglob("*.md")):
        page = path.relative_to(ROOT / "docs")
        up = "../" * (len(page.parts) - 1)
        text = path.read_text(encoding="utf-8")
        for file in _OUTSIDE.findall(text.replace(f"]({up}../", "](../")):
            if (ROOT / file).is_file():
                target = pages / "files" / Path(file).name
                target.parent.mkdir(exist_ok=True)
                shutil.copy(ROOT / file, target)
                text = text.replace(f"]({up}../{file})", f"]({up}files/{target.name})")
        yield str(page), text


def _of_requirements(failures: Path) -> Iterator[tuple[str, str]]:
    """A page for each requirement, and the list of all."""
    rows = ["# Requirements", "", "| id | level | sentence |", "|---|---|---|"]
    for id_, it in every_requirement().items():
        rows.append(f"| [{id_}]({id_}.md) | {it.level} | {_cell(it.sentence)} |")
        yield f"requirements/{id_}.md", "\n".join(_of_requirement(id_, it, failures)) + "\n"
    yield "requirements/index.md", "\n".join(rows) + "\n"


def _of_requirement(id_: str, it: Requirement, failures: Path) -> Iterator[str]:
    yield f"# {id_}\n\n**{it.level}**: {_cell(it.sentence)}\n"
    yield f"**Why**: {_cell(it.why)}\n"
    words = (
        f"{word}, {sources()[word]}" if word in sources() else word
        for word in it.source.split("; ")
    )
    yield f"**Source**: {_cell('; '.join(words))}\n"
    if it.capabilities:
        names = " or ".join(f"`{name}`" for name in it.capabilities)
        yield f"**Only for relays with the capability** {names}\n"
    if it.stricter:
        yield f"**Stricter than upstream**: {_cell(it.stricter)}\n"
    if found := [hint for hint in hints().values() if id_ in hint.requirements]:
        yield "## Common mistakes\n"
        yield from (f"- {_cell(hint.text)}" for hint in found)
        yield ""
    if (failure := failures / f"{id_}.txt").exists():
        yield "## What a failure looks like\n"
        yield f"```text\n{failure.read_text(encoding='utf-8')}```\n"
    yield "## Cases\n"
    if id_ in after_every_case():
        yield "- looked at after every case"
    yield from (f"- `{case}`" for case in every_case().get(id_, ()))
    yield f"\nJudge it alone: `relay-harness run --requirement {id_}`"


def _of_names() -> Iterator[tuple[str, str]]:
    for module in (harness, relay):
        title = module.__name__
        entries = "\n".join(f"::: {it}\n" for it in _public(module))
        yield f"reference/{title.rpartition('.')[2]}.md", f"# `{title}`\n\n{entries}"


def _public(module: ModuleType) -> Iterator[str]:
    """The place of each public class and function."""
    for name in sorted(module.__all__):
        found = getattr(module, name)
        if inspect.isclass(found) or inspect.isfunction(found):
            yield f"{found.__module__}.{found.__qualname__}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description="Build the documentation site.")
    options.add_argument("directory", metavar="DIR", type=Path, help="a new directory")
    options.add_argument("--failures", action="store_true", help="show failures, too")
    sys.exit(main(**vars(options.parse_args())))
