"""From the bytes of a CSV file to rows of cells: encoding, separator, lines."""

import csv
import io
from collections.abc import Iterator
from typing import NamedTuple

from sitekeeper_collector.registry.fields import column_of

MAX_FILE_BYTES = 64 * 1024 * 1024
_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_SEPARATORS = (",", ";", "\t", "，", "；")


class TableError(ValueError):
    """The file as a whole can't be read; ``line`` is where, 0 if nowhere in particular."""

    def __init__(self, line: int, reason: str, right: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason
        self.right = right


class Row(NamedTuple):
    """Cells, and the number of the line on which they begin."""

    line: int
    cells: list[str]


class Table(NamedTuple):
    """A decoded file."""

    encoding: str
    separator: str
    header: Row
    rows: list[Row]


def read(data: bytes) -> Table:
    """Decode and split ``data``. Raises ``TableError``."""
    if len(data) > MAX_FILE_BYTES:
        raise TableError(0, f"the file has {len(data) >> 20} MiB", "a list of sites has less than 64; is it the right file?")
    text, encoding = decode(data)
    at = text.find("\0")
    if at >= 0:
        line = text.count("\n", 0, at) + 1
        raise TableError(
            line, "the file holds NUL bytes", "save it again as CSV (UTF-8); it may be an .xls file with a new name"
        )
    header_text = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(_SEPARATORS, key=lambda s: _known_titles(header_text, s))
    rows = list(_rows(text, separator))
    if not rows:
        raise TableError(1, "the file is empty", "the first line must hold the titles of the columns, e.g. id,name,county")
    return Table(encoding, separator, rows[0], rows[1:])


def decode(data: bytes) -> tuple[str, str]:
    """Text and name of the encoding: UTF-8 (with or without mark), UTF-16 with mark, else GB18030, which includes GBK."""
    if data[:4] == b"PK\x03\x04" or data[:4] == b"\xd0\xcf\x11\xe0":
        raise TableError(0, "this is an Excel workbook", "save it as CSV (UTF-8) in Excel or WPS and import that file")
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return _decoded(data, encoding), encoding
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return _decoded(data, "gb18030"), "gb18030"


def _decoded(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as err:
        line = data.count(b"\n", 0, err.start) + 1
        raise TableError(
            line, f"the text is neither UTF-8 nor GBK (byte {err.start})", "save the file again as CSV (UTF-8)"
        ) from err


def _known_titles(header: str, separator: str) -> int:
    return sum(column_of(title.strip(' "')) is not None for title in header.split(separator))


def _rows(text: str, separator: str) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    begins = 1
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as err:
            raise TableError(
                begins, f"this line and what follows can't be split into cells: {err}", 'look for a quotation mark (") too many'
            ) from err
        if cells is None:
            return
        if any(c.strip() for c in cells):
            yield Row(begins, cells)
        begins = reader.line_num + 1
