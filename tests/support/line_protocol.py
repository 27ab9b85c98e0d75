"""A small parser of InfluxDB's line protocol, written from its documentation and not from our builder."""

from typing import NamedTuple

Value = float | int | bool | str


class Line(NamedTuple):
    """One parsed line."""

    measurement: str
    tags: dict[str, str]
    fields: dict[str, Value]
    time_ns: int


def parse(data: bytes) -> Line:
    """Raises ``AssertionError`` if ``data`` is not one line."""
    text = data.decode()
    assert "\n" not in text
    head = _split(text, " ")[0]  # a quotation mark means nothing in names and tags
    fields, time = _split(text[len(head) + 1 :], " ", quotes=True)
    name, *tags = _split(head, ",")
    return Line(
        _unescaped(name),
        dict(_pair(tag) for tag in tags),
        {key: _value(value) for key, value in (_raw_pair(field) for field in _split(fields, ",", quotes=True))},
        int(time),
    )


def _split(text: str, at: str, *, quotes: bool = False) -> list[str]:
    """``text`` at each ``at`` that is neither escaped nor in a quoted string."""
    parts, part, quoted, position = [], "", False, 0
    while position < len(text):
        char = text[position]
        if char == "\\" and position + 1 < len(text):
            part += text[position : position + 2]
            position += 2
            continue
        if quotes and char == '"':
            quoted = not quoted
        if char == at and not quoted:
            parts.append(part)
            part = ""
        else:
            part += char
        position += 1
    assert not quoted
    return [*parts, part]


def _raw_pair(text: str) -> tuple[str, str]:
    key, *rest = _split(text, "=", quotes=True)
    assert key and rest
    return _unescaped(key), "=".join(rest)


def _pair(text: str) -> tuple[str, str]:
    key, value = _split(text, "=")
    assert key and value
    return _unescaped(key), _unescaped(value)


def _unescaped(text: str) -> str:
    for char in ",= ":
        text = text.replace("\\" + char, char)
    return text


def _value(text: str) -> Value:
    if text.startswith('"'):
        assert text.endswith('"') and len(text) > 1
        return text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    if text in ("true", "false"):
        return text == "true"
    return int(text[:-1]) if text.endswith("i") else float(text)
