"""Configuration files into typed settings, with errors that a person can act on.

Used by agent and collector on the nodes of a parsed YAML file (``yaml.compose``), of which only the shape is needed here:
this module neither reads files nor imports a YAML library.
"""

import re
from collections.abc import Iterator
from typing import Any, Protocol, TypeVar

import msgspec

_T = TypeVar("_T")


class SettingsError(ValueError):
    """A setting that can't be used; the text names file, line, key and what would be right."""


class _Mark(Protocol):
    line: int


class Node(Protocol):
    """What is used of ``yaml.nodes.Node``: scalars hold text, sequences nodes, mappings pairs of nodes."""

    tag: str
    value: Any
    start_mark: Any


_SCALARS = {"str", "int", "float", "bool", "null"}


def read(root: Node | None, schema: type[_T], file: str) -> _T:
    """``root``'s content as ``schema``, a msgspec Struct that forbids unknown fields.

    Raises ``SettingsError`` for a mistake in the file; its text starts with ``file:line:``.
    """
    if root is None:
        raise SettingsError(f"{file}:1: the file is empty; see the commented sample in config/")
    value = _plain(root, file, "")
    try:
        return msgspec.convert(value, schema, strict=True)
    except msgspec.ValidationError as err:
        raise SettingsError(_explain(str(err), root, schema, file)) from None


def _plain(node: Node, file: str, key: str) -> Any:
    kind = node.tag.rpartition(":")[2]
    if kind == "map":
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            name = str(key_node.value)
            if name in result:
                raise SettingsError(f"{_at(file, key_node)} {name}: this key stands here twice; keep one of them")
            result[name] = _plain(value_node, file, name)
        return result
    if kind == "seq":
        return [_plain(item, file, key) for item in node.value]
    if kind not in _SCALARS:
        raise SettingsError(f"{_at(file, node)} {key}: {kind!r} can't stand here; put the value in quotes")
    return _scalar(kind, str(node.value), node, file, key)


def _scalar(kind: str, text: str, node: Node, file: str, key: str) -> Any:
    try:
        if kind == "int":
            return int(text.replace("_", ""), 0)
        if kind == "float":
            return float(text.replace("_", ""))
    except ValueError:
        raise SettingsError(f"{_at(file, node)} {key}: {text!r} is no plain number; write it in decimal or in quotes") from None
    if kind == "bool":
        return text.lower() in {"true", "yes", "on"}
    return None if kind == "null" else text


def _at(file: str, node: Node) -> str:
    return f"{file}:{node.start_mark.line + 1}:"


_MISSING = re.compile(r"Object missing required field `(.+?)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(.+?)`")
_WHERE = re.compile(r"(.*?)(?: - at `(?:key in )?(\$.*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")


def _explain(message: str, root: Node, schema: type[Any], file: str) -> str:
    match = _WHERE.fullmatch(message)
    problem, path = (match[1], match[2] or "$") if match else (message, "$")
    steps = list(_walk(root, path))
    keys = [step for step, _ in steps]
    node = steps[-1][1] if steps else root
    where = ".".join(keys)
    prefix = f"{where}." if where else ""
    if missing := _MISSING.search(problem):
        return f"{_at(file, node)} {prefix}{missing[1]}: this key is missing and has no default"
    if unknown := _UNKNOWN.search(problem):
        name = unknown[1]
        found = next((k for k, _ in node.value if str(k.value) == name), node)
        return f"{_at(file, found)} {prefix}{name}: no such key here{_nearest(name, _fields(schema, keys))}"
    shown = f" (it is {node.value!r})" if isinstance(node.value, str) else ""
    # YAML reads 0012 and 1e3 as numbers; an id of digits must say that it is text.
    hint = "; put it in quotes" if problem.startswith("Expected `str") and shown else ""
    return f"{_at(file, node)} {where or 'the file'}: {problem[0].lower()}{problem[1:]}{shown}{hint}"


def _walk(root: Node, path: str) -> Iterator[tuple[str, Node]]:
    node = root
    for step in _STEP.finditer(path):
        if step[1] is not None:
            pairs = node.value if isinstance(node.value, list) else []
            following = next((v for k, v in pairs if str(k.value) == step[1]), None)
            name = step[1]
        else:
            at = int(step[2]) if step[2].isdigit() else 0
            following = node.value[at] if at < len(node.value) else None
            name = f"[{step[2]}]"
        if following is None:
            return
        node = following
        yield name, node


def _fields(schema: type[Any], keys: list[str]) -> list[str]:
    """The keys that may stand at ``keys`` below ``schema``, as far as they are Structs."""
    kind: Any = msgspec.inspect.type_info(schema)
    for key in keys:
        fields = {f.encode_name: f.type for f in getattr(kind, "fields", ())}
        kind = getattr(kind, "item_type", None) if key.startswith("[") else fields.get(key)
        if isinstance(kind, msgspec.inspect.UnionType):
            kind = next((t for t in kind.types if isinstance(t, msgspec.inspect.StructType)), kind)
    return [f.encode_name for f in getattr(kind, "fields", ())]


def _nearest(name: str, known: list[str]) -> str:
    import difflib  # only when there is a mistake to explain

    close = difflib.get_close_matches(name, known, 1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; known here: {', '.join(sorted(known))}" if known else ""
