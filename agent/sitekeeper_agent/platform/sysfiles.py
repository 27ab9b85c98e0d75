"""Small files of /proc and /sys, read with few system calls and within bounds: dozens of them belong to each sample."""

import os

MOST_NAMES = 1024


def read_bytes(path: str, most: int = 65536) -> bytes:
    """At most ``most`` bytes from the start of the file; nothing if it can't be read, which is as good as no such file."""
    try:
        # The kernel's files never block, and what else may stand there must not either.
        file = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except (OSError, ValueError):
        return b""
    try:
        parts = []
        while most > 0 and (part := os.read(file, most)):
            parts.append(part)
            most -= len(part)
        return b"".join(parts)
    except OSError:
        return b""
    finally:
        os.close(file)


def read_text(path: str, most: int = 65536) -> str:
    """The same as text without blanks around it; bytes that are no UTF-8 are replaced."""
    return read_bytes(path, most).decode("utf-8", "replace").strip()


def read_number(path: str) -> int | None:
    """A whole number, decimal or ``0x`` hex; ``None`` if there is none."""
    text = read_text(path, 64)
    try:
        number = int(text, 16 if text.startswith("0x") else 10)
    except ValueError:
        return None
    return number if abs(number) < 2**53 else None


def names(folder: str, most: int = MOST_NAMES) -> list[str]:
    """What lies in a folder, sorted, at most ``most`` names; nothing if it can't be listed."""
    try:
        return sorted(os.listdir(folder))[:most]  # noqa: PTH208 - names alone, dozens of times a sample
    except (OSError, ValueError):
        return []


def plain(text: str, most: int) -> str:
    """What hardware or a person calls a thing, fit for one line: printable, single blanks, at most ``most`` characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:most]
