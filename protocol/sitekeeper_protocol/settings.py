"""Configuration files into typed settings, with errors that a person can act on.

Used by agent and collector on the nodes of a parsed YAML file (``yaml.compose``), of which only the shape is needed here:
this module neither reads files nor imports a YAML library.
"""

import math
import re
from collections.abc import Iterator
from typing import Any, Protocol, TypeVar

import msgspec

_T = TypeVar("_T")
MAX_DEPTH = 16
"""Levels of nesting that are read: far more than any settings have."""


class SettingsError(ValueError):
    """A setting that can't be used; the text names file, line, key and what would be right."""


class Node(Protocol):
    """What is used of ``yaml.nodes.Node``: scalars hold text, sequences nodes, mappings pairs of nodes."""

    tag: str
    value: Any
    start_mark: Any


_YAML = "tag:yaml.org,2002:"
_WORDS = {
    "object": "keys with values",
    "array": "a list",
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "null": "nothing",
}
_TRUE, _FALSE = {"true", "yes", "on"}, {"false", "no", "off"}


def read(root: Node | None, schema: type[_T], file: str) -> _T:
    """``root``'s content as ``schema``, a msgspec Struct that forbids unknown fields.

    Raises ``SettingsError`` for a mistake in the file; its text starts with ``file:line:``. Work and memory are bounded by
    the size of the file: aliases, which could multiply it, are refused.
    """
    if root is None:
        raise SettingsError(f"{file}:1: the file is empty; see the commented sample in config/")
    value = _Reader(file).plain(root, "", root, 0)
    try:
        return msgspec.convert(value, schema, strict=True)
    except msgspec.ValidationError as err:
        raise SettingsError(_explain(str(err), root, schema, file)) from None


class _Reader:
    """Nodes into plain values, each node once."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._seen: set[int] = set()

    def plain(self, node: Node, key: str, holder: Node, depth: int) -> Any:
        """The value of ``node``, which stands at ``key`` on the line of ``holder``."""
        if id(node) in self._seen:
            raise self._error(holder, key, "anchors and aliases (&name, *name) are not read; write the value out here")
        self._seen.add(id(node))
        if depth > MAX_DEPTH:
            raise self._error(node, key, f"nested more than {MAX_DEPTH} levels deep")
        kind = node.tag.removeprefix(_YAML)
        if kind == "map" and isinstance(node.value, list):
            return self._mapping(node, key, depth)
        if kind == "seq" and isinstance(node.value, list):
            return [self.plain(item, f"{key} (item {at})", node, depth + 1) for at, item in enumerate(node.value, 1)]
        if not isinstance(node.value, str):
            raise self._error(node, key, f"the tag {_shown(node.tag)} can't stand here; take it away")
        return self._scalar(kind, node, key)

    def _mapping(self, node: Node, key: str, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name_node, value_node in node.value:
            name = name_node.value
            if not isinstance(name, str):
                raise self._error(name_node, key, "a key must be plain text, not a list or a mapping")
            where = f"{key}.{name}" if key else name
            if name_node.tag == f"{_YAML}merge":
                raise self._error(name_node, where, "merge keys are not read; write the keys out here")
            if name in result:
                raise self._error(name_node, where, "this key stands here twice; keep one of them")
            result[name] = self.plain(value_node, where, name_node, depth + 1)
        return result

    def _scalar(self, kind: str, node: Node, key: str) -> Any:
        text: str = node.value
        if kind == "str":
            return text
        if kind == "null":
            return None
        if kind in ("int", "float"):
            return self._number(kind, node, key)
        if kind == "bool" and text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        raise self._error(node, key, f"{_shown(text)} is read as {kind}, which can't stand here; put it in quotes")

    def _number(self, kind: str, node: Node, key: str) -> int | float:
        digits = node.value.replace("_", "")
        try:
            number = int(digits, 0) if kind == "int" else float(digits)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise self._error(
                node, key, f"{_shown(node.value)} is no plain number; write it in decimal, or in quotes if it is text"
            )
        return number

    def _error(self, node: Node, key: str, problem: str) -> SettingsError:
        return SettingsError(f"{_at(self._file, node)} {key or 'the file'}: {problem}")


def _at(file: str, node: Node) -> str:
    return f"{file}:{node.start_mark.line + 1}:"


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}…")


# --- mistakes that only the schema shows ---------------------------------------------------------------------------------

_MISSING = re.compile(r"Object missing required field `(.+?)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(.+?)`", re.DOTALL)
_GOT = re.compile(r"Expected `(.+?)`, got `(.+?)`")
_BOUND = re.compile(r"Expected `(.+?)` (.+)", re.DOTALL)
_WHERE = re.compile(r"(.*?)(?: - at `(?:key in )?(\$.*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]|(\[\.\.\.\].*)")


def _explain(message: str, root: Node, schema: type[Any], file: str) -> str:
    match = _WHERE.fullmatch(message)
    problem, path = (match[1], match[2] or "$") if match else (message, "$")
    steps = list(_walk(root, path))
    node = steps[-1][1] if steps else root
    where = "".join(step for step, _ in steps).removeprefix(".")
    kind = _type_at(schema, [step for step, _ in steps])
    if missing := _MISSING.search(problem):
        return f"{_at(file, node)} {_below(where, missing[1])}: this key is missing and has no default"
    if unknown := _UNKNOWN.search(problem):
        name = unknown[1]
        found = next((k for k, _ in node.value if k.value == name), node)
        fields = [field.encode_name for field in getattr(kind, "fields", ())]
        return f"{_at(file, found)} {_below(where, _clipped(name))}: no such key here{_nearest(name, fields)}"
    return f"{_at(file, node)} {where or 'the file'}: {_wording(problem, node, kind)}"


def _below(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _clipped(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:40]}…"


def _wording(problem: str, node: Node, kind: Any) -> str:
    text = node.value if isinstance(node.value, str) else None
    if got := _GOT.fullmatch(problem):
        wanted = " or ".join(_WORDS.get(word, word) for word in got[1].split(" | "))
        shown = f" ({_shown(text)})" if text else ""
        return f"must be {wanted}, but this is {_WORDS.get(got[2], got[2])}{shown}{_quotes(got[1], got[2], text)}"
    shown = "" if text is None else f"; it is {_shown(text)}"
    if problem.startswith("Invalid enum value"):
        return f"must be one of {', '.join(map(str, _choices(kind)))}{shown}"
    if bound := _BOUND.fullmatch(problem):
        return f"must be {_WORDS.get(bound[1], bound[1])} {bound[2]}{shown}"
    return f"{problem[:1].lower()}{problem[1:]}{shown}"


def _quotes(wanted: str, got: str, text: str | None) -> str:
    # YAML reads 0012 and 1e3 as numbers; an id of digits must say that it is text.
    if "str" in wanted and text and got in ("int", "float", "bool"):
        return "; put it in quotes"
    number = text is not None and re.fullmatch(r"[-+]?\d+(\.\d+)?", text)
    if got == "str" and number and ("int" in wanted or "float" in wanted):
        return "; write it without quotes"
    return ""


def _walk(root: Node, path: str) -> Iterator[tuple[str, Node]]:
    """The nodes along a path of msgspec's, each with its step as people read it, as far as the path is definite."""
    node = root
    for step in _STEP.finditer(path):
        following = None
        if step[1] is not None:
            following, name = next((v for k, v in node.value if k.value == step[1]), None), f".{step[1]}"
        elif step[2] is not None:
            following, name = node.value[int(step[2])], f" (item {int(step[2]) + 1})"
        if following is None:
            return  # "[...]": msgspec does not say which value of a mapping it means
        node = following
        yield name, node


def _type_at(schema: type[Any], steps: list[str]) -> Any:
    """What the schema wants at the end of ``steps``, a ``msgspec.inspect`` type, or ``None``."""
    kind: Any = msgspec.inspect.type_info(schema)
    for step in steps:
        fields = {f".{f.encode_name}": f.type for f in getattr(kind, "fields", ())}
        kind = fields.get(step) if step.startswith(".") else getattr(kind, "item_type", None)
        if isinstance(kind, msgspec.inspect.UnionType):
            told = (msgspec.inspect.StructType, msgspec.inspect.LiteralType, msgspec.inspect.EnumType)
            kind = next((t for t in kind.types if isinstance(t, told)), kind)
    return kind


def _choices(kind: Any) -> list[Any]:
    if isinstance(kind, msgspec.inspect.EnumType):
        return [member.value for member in kind.cls]
    return list(getattr(kind, "values", ()))


def _nearest(name: str, known: list[str]) -> str:
    import difflib  # only when there is a mistake to explain

    close = difflib.get_close_matches(name, known, 1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; known here: {', '.join(sorted(known))}" if known else ""
