"""What the commands share: the configuration, the database, and one kind of error for the person at the keyboard."""

import argparse
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sitekeeper_collector.config import Settings, load
from sitekeeper_collector.store.engine import Store, open_store


class CliError(Exception):
    """Something the person at the keyboard can mend; the text says how."""


def config_argument(parser: argparse.ArgumentParser) -> None:
    """Every command reads the collector's configuration."""
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="the collector's configuration")


def load_settings(file: Path) -> Settings:
    """The configuration in ``file``."""
    return load(file)


@contextmanager
def opened(settings: Settings) -> Iterator[Store]:
    """The configured database, closed at the end."""
    store = open_store(settings.database)
    try:
        yield store
    finally:
        store.close()


_SPAN = re.compile(r"(\d{1,6})(s|m|h|d)")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def span_s(text: str) -> int:
    """Seconds of a length of time like 90s, 15m, 2h, 3d; the type of an argument."""
    match = _SPAN.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no length of time; write for example 90s, 15m, 2h or 3d")
    return int(match[1]) * _UNIT_S[match[2]]


def positive(text: str) -> int:
    """A whole number above zero; the type of an argument."""
    if not text.isdecimal() or not 0 < int(text) <= 10_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number between 1 and 10000000")
    return int(text)
