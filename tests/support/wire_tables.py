"""What the code says of the wire, in the words of docs/protocol.md: types of fields, numbers of words, units of metrics."""

from collections.abc import Mapping
from enum import Enum
from typing import Any

import msgspec
from msgspec import inspect

from sitekeeper_protocol import texts
from sitekeeper_protocol.vocabulary import KIND_NUMBERS, KINDS, METRICS, Kind, Metric

_ENUM_NAMES: dict[str, Mapping[Any, texts.Pair]] = {
    "Rung": texts.RUNGS,
    "State": texts.STATES,
    "Reason": texts.REASONS,
    "Method": texts.METHODS,
    "PlayerState": texts.PLAYER_STATES,
    "Setting": texts.SETTINGS,
    "SmartState": texts.SMART_STATES,
    "Party": texts.PARTIES,
    "Grade": texts.GRADES,
    "Severity": texts.SEVERITIES,
}


def fields(struct: type[msgspec.Struct]) -> list[tuple[str, str]]:
    """(name, type) of each field in its order on the wire; the type of an optional one names its default."""
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    return [(field.name, type_text(field.type) + _default(field)) for field in info.fields]


def _default(field: inspect.Field) -> str:
    if field.required:
        return ""
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    if value is None or isinstance(value, bool):
        return f", else {'nil' if value is None else str(value).lower()}"
    return f", else {value if isinstance(value, int) else 'empty'}"


def type_text(kind: inspect.Type) -> str:
    """A type of msgspec's in words."""
    match kind:
        case inspect.IntType(ge=low, le=high):
            return "int" if low is None and high is None else f"int {_power(low)} to {_power(high)}"
        case inspect.StrType(max_length=longest):
            return f"text{_at_most(longest)}"
        case inspect.BytesType():
            return "bytes"
        case inspect.BoolType():
            return "bool"
        case inspect.NoneType():
            return "nil"
        case inspect.RawType():
            return "any"
        case inspect.EnumType(cls=cls):
            return cls.__name__
        case inspect.StructType(cls=cls):
            return cls.__name__.removeprefix("_")
        case inspect.ListType(item_type=item, max_length=longest):
            return f"list{_at_most(longest)} of {_inner(item)}"
        case inspect.TupleType(item_types=items):
            return f"({', '.join(map(type_text, items))})"
        case inspect.DictType(key_type=key, value_type=value, max_length=longest):
            return f"map{_at_most(longest)} of {_inner(key)} to {_inner(value)}"
        case inspect.UnionType(types=types):
            return " or ".join(map(type_text, sorted(types, key=lambda t: isinstance(t, inspect.NoneType))))
    raise AssertionError(f"no words for {kind}")


def _inner(kind: inspect.Type) -> str:
    text = type_text(kind)
    return f"({text})" if isinstance(kind, inspect.UnionType) else text


def _at_most(longest: int | None) -> str:
    return "" if longest is None else f" ≤ {longest}"


def _power(number: int | None) -> str:
    for bits in (31, 32, 53, 54, 63, 64):
        for value, text in ((2**bits, f"2^{bits}"), (2**bits - 1, f"2^{bits}-1"), (-(2**bits), f"-2^{bits}")):
            if number == value:
                return text
    return str(number)


def words(enum: type[Enum]) -> list[tuple[str, ...]]:
    """The rows of an enumeration: value, name if the value is a number, and what people read, where they read it."""
    named = _ENUM_NAMES.get(enum.__name__, {})
    return [(*_word(member), *named.get(member, ())) for member in enum]


def _word(member: Enum) -> tuple[str, ...]:
    return (str(member.value), member.name.lower()) if isinstance(member.value, int) else (str(member.value),)


def numbered_words(enum: type[Enum], numbers: Mapping[Any, int]) -> list[tuple[str, ...]]:
    """The rows of an enumeration of words that have numbers as well: word, number, names."""
    return [(word, str(numbers[member]), *names) for member, (word, *names) in zip(enum, words(enum), strict=True)]


def kinds() -> list[tuple[str, ...]]:
    """The rows of the kinds of fault: word, number, party, severity, zh, en."""
    return [
        (kind.value, str(KIND_NUMBERS[kind]), KINDS[kind].party or "–", KINDS[kind].severity or "–", *texts.KINDS[kind])
        for kind in Kind
    ]


def metrics() -> list[tuple[str, ...]]:
    """The rows of the metrics: number, name, unit, step, instance, meaning."""
    return [
        (str(metric.value), metric.name.lower(), facts.unit, f"{facts.step:g}", facts.instance or "–", facts.meaning)
        for metric, facts in ((metric, METRICS[metric]) for metric in Metric)
    ]
