"""``sitekeeper-dashboards``: writes the dashboards as JSON, and says whether what is there is what the code makes."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from sitekeeper_dashboards import grafana
from sitekeeper_dashboards.boards import boards
from sitekeeper_dashboards.model import Options, uid
from sitekeeper_dashboards.words import LANGUAGES

_PARENT = Path(__file__).parents[1]
DEFAULT = _PARENT / "json"


def rendered(options: Options) -> Iterator[tuple[str, str]]:
    """Name of the file and content of each dashboard, in both languages."""
    for lang in LANGUAGES:
        own = Options(lang=lang, console=options.console, zone=options.zone, use=options.use)
        for board in boards(own):
            yield f"{uid(board.key, lang)}.json", grafana.text(board, own)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code is 1 if something differs or can't be done."""
    options = _parser().parse_args(arguments)
    chosen = Options(console=options.console, zone=options.zone, use=options.use)
    try:
        return _build(options.folder, chosen) if options.command == "build" else _check(options.folder, chosen)
    except OSError as err:
        print(f"sitekeeper-dashboards: {err.filename or options.folder}: {err.strerror}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    whole = argparse.ArgumentParser(prog="sitekeeper-dashboards", description="The Grafana dashboards of Sitekeeper.")
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, told in (("build", "write them as JSON"), ("check", "say which files are not what the code makes")):
        command = commands.add_parser(name, help=told)
        command.add_argument("--folder", type=Path, default=DEFAULT, metavar="DIR", help=f"where the files are ({DEFAULT})")
        command.add_argument("--console", default=Options.console, metavar="URL", help="address of the console")
        command.add_argument("--zone", default=Options.zone, metavar="ZONE", help="where the county's midnights are")
        command.add_argument("--use", action="store_true", help="show how much the sites are used")
    return whole


def _build(folder: Path, options: Options) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    changed = 0
    for name, content in rendered(options):
        file = folder / name
        if not file.exists() or file.read_text(encoding="utf-8") != content:
            file.write_text(content, encoding="utf-8")
            changed += 1
            print(f"written: {file}")
    print(f"{changed} files changed")
    return 0


def _check(folder: Path, options: Options) -> int:
    wrong = 0
    for name, content in rendered(options):
        file = folder / name
        if not file.exists():
            print(f"missing: {file}")
            wrong += 1
        elif file.read_text(encoding="utf-8") != content:
            print(f"differs: {file}; to make it anew: sitekeeper-dashboards build")
            wrong += 1
    return 1 if wrong else 0
