"""Each command, make target, path and word of code that the documentation names exists."""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
        *ROOT.glob("docs/**/*.md"),
        *(ROOT / package / "README.md" for package in ("protocol", "agent", "collector")),
    ]
)
FOLDERS = ("protocol/", "agent/", "collector/", "config/", "tests/", "docs/", "benchmarks/", "requirements/", ".ci/")
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


def code(page: str) -> list[str]:
    """Each line of a code block and each piece of inline code."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^```\w*\n.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    inline = [" ".join(piece.split()) for piece in re.findall(r"`([^`]+)`", prose)]
    return [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()] + inline


@cache
def help_of(program: str, words: tuple[str, ...]) -> tuple[int, str]:
    """Exit code and text of a command's ``--help``."""
    script = Path(sys.executable).with_name(program)
    done = subprocess.run([script, *words, "--help"], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def commands(page: str) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """(program, subcommands, options) of each command of ours that a page shows."""
    found = []
    for line in code(page):
        program, *rest = line.split()[:1] + line.split()[1:] if line.split() else ("",)
        if program in ("sitekeeper-agent", "sitekeeper-collector"):
            subcommands: list[str] = []
            for word in rest:
                if not re.fullmatch(r"[a-z][a-z-]*", word):
                    break
                subcommands.append(word)
            options = tuple(word.partition("=")[0] for word in rest if word.startswith("--"))
            found.append((program, tuple(subcommands), options))
    return found


@pytest.mark.processes
@pytest.mark.parametrize("page", NAMES)
def test_every_command_and_option_exists(page: str) -> None:
    for program, words, options in commands(page):
        returncode, text = help_of(program, words)
        assert returncode == 0, f"{page}: {program} {' '.join(words)} does not exist"
        missing = [option for option in options if not re.search(rf"{option}\b", text)]
        assert not missing, f"{page}: {program} {' '.join(words)} has no {missing}"


def test_the_readme_shows_every_command_that_a_newcomer_needs() -> None:
    shown = {(program, words) for program, words, _ in commands("README.md")}
    assert {("sitekeeper-agent", ("run",)), ("sitekeeper-agent", ("check",)), ("sitekeeper-collector", ("run",))} <= shown


@pytest.mark.parametrize("page", NAMES)
def test_every_make_target_exists(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert targets
    named = {match[1] for line in code(page) if (match := re.match(r"make ([a-z-]+)", line))}
    assert named <= targets


@pytest.mark.parametrize("page", NAMES)
def test_every_path_exists(page: str) -> None:
    def is_path(word: str) -> bool:
        return word.startswith(FOLDERS) or word in ("LICENSE", "Makefile") or bool(re.fullmatch(r"[A-Z]+\.md", word))

    words = {word.strip(",;:()\"'") for line in code(page) for word in line.split()}
    absent = [word for word in words if is_path(word) and not any(ROOT.glob(word.rstrip("/")))]
    assert absent == []


@cache
def known_words() -> frozenset[str]:
    """All words of the sources, samples and rules that documentation may speak of."""
    sources = [
        *(path for package in ("protocol", "agent", "collector") for path in ROOT.glob(f"{package}/sitekeeper_*/**/*.py")),
        *ROOT.glob("tests/support/*.py"),
        *ROOT.glob("config/*"),
        ROOT / "pyproject.toml",
        ROOT / "Makefile",
    ]
    return frozenset(word for path in sources for word in re.findall(r"\w+", path.read_text(encoding="utf-8").lower()))


# Decisions also speak of what was not chosen, and of other people's programs.
@pytest.mark.parametrize("page", [name for name in NAMES if "decisions" not in name])
def test_every_word_of_code_exists(page: str) -> None:
    """Fields, settings, kinds and metrics: whatever is set as code and looks like a name stands in the sources."""
    words = {word for piece in code(page) for word in re.findall(r"\b[a-z]+(?:_[a-z0-9]+)+\b", piece)}
    files = {path.stem for path in (*ROOT.glob("tests/**/*"), *ROOT.glob("benchmarks/*"))} | {
        path.stem for path in ROOT.glob("*/sitekeeper_*/**/*.py")
    }
    packages = {path.name for path in ROOT.glob("*/sitekeeper_*")}
    assert words - known_words() - files - packages == set()
