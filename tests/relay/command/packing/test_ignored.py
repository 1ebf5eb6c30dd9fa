"""The patterns of `.deployignore`: as pathspec and git read them, and never in exploding time."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pathspec import GitIgnoreSpec

from deploy_relay_kit.relay.command.packing.ignored import compiled
from deploy_relay_kit.relay.errors import InputError

NAMES = st.text("ab.*?", min_size=1, max_size=6) | st.sampled_from(["**", "*", "[ab]*", "[!a]b*a*"])
PATTERNS = st.builds(
    lambda before, names, after: before + "/".join(names) + after,
    st.sampled_from(["", "/", "!", "**/"]),
    st.lists(NAMES, min_size=1, max_size=6),
    st.sampled_from(["", "/", "/**"]),
)
PATHS = st.lists(st.text("ab.", min_size=1, max_size=6), min_size=1, max_size=7).map("/".join)


@given(st.lists(PATTERNS, min_size=1, max_size=3), PATHS, st.sampled_from(["", "/"]))
def test_a_path_is_ignored_as_pathspec_says(lines: list[str], path: str, end: str) -> None:
    ours = compiled(lines, "x")
    assert ours.match_file(path + end) == GitIgnoreSpec.from_lines(lines).match_file(path + end)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("a*" * 60 + "b", "a" * 255),
        ("*a" * 60 + "b", "a" * 255),
        ("*?" * 30 + "b", "a" * 255),
        ("[ab]*" * 40 + "c", "ab" * 127),
        ("*" * 200 + "b", "a" * 255),
        ("**/a/" * 30 + "b", "a/" * 1_500 + "c"),
        ("a/**/" * 30 + "b", "a/" * 1_500 + "c"),
        ("*a*/**/" * 12 + "b", "aaa/" * 500 + "c"),
        ("/a/**/" + "a/a/**/" * 12 + "b", "a/" * 1_500 + "c"),
        ("a*a*a*/" * 12 + "b", "aaaaaaaa/" * 200 + "c"),
    ],
)
def test_no_pattern_takes_exploding_time(pattern: str, path: str) -> None:
    """A second of the processor is far more than any takes, and far less than one that explodes."""
    spec = compiled([pattern], "x")
    start = time.process_time()
    assert not spec.match_file(path)
    assert time.process_time() - start < 1.0


def test_git_ignores_the_same(tmp_path: Path) -> None:
    git = shutil.which("git")
    if git is None:
        pytest.skip("git is not on this machine")
    subprocess.run([git, "init", "-q", str(tmp_path)], check=True)
    lines = ["a*b*c", "x/**/y*z*", "**/n*m/q", "/only*.top", "!keep*a*c", "d*r*/"]
    paths = ["aXbXc", "s/abc", "x/yz", "x/1/2/yazb", "x/y", "n1m/q", "s/n12m/q", "only.top"]
    paths += ["s/only.top", "keepaabc", "acb", "dir/f", "s/dxrx/f", "dr"]
    (tmp_path / ".gitignore").write_text("\n".join(lines))
    done = subprocess.run(
        [git, "check-ignore", "--stdin"],
        cwd=tmp_path,
        input="\n".join(paths),
        capture_output=True,
        text=True,
        check=False,
    )
    spec = compiled(lines, "x")
    assert [it for it in paths if spec.match_file(it)] == done.stdout.split()


def test_a_line_that_is_no_pattern_is_named() -> None:
    with pytest.raises(InputError, match=r"^x:2: .* is not a pattern"):
        compiled(["a", "b\\"], "x")
