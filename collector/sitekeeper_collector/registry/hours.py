"""Weekly hours: ``Mon-Fri 09:00-17:00; Sat 09:00-12:00`` or ``周一至周五 9:00-17:00``, to intervals and one normal form."""

import re
import unicodedata
from collections.abc import Iterable

from sitekeeper_collector.registry.entry import FieldProblem

DAY_MINUTES = 24 * 60
NAMES = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
RIGHT = "write them like 'Mon-Fri 09:00-17:00; Sat 09:00-12:00' or '周一-周五 09:00-17:00', or leave the field empty"

Week = tuple[tuple[tuple[int, int], ...], ...]
"""For Monday to Sunday: opening intervals in minutes since midnight, ascending, not touching; 1440 ends a day."""

_DAYS = {
    **{name.lower(): at for at, name in enumerate(NAMES)},
    **{name: at for at, name in enumerate(("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"))},
    **{prefix + digit: at for prefix in ("周", "星期", "礼拜") for at, digit in enumerate("一二三四五六日")},
    **{prefix + "天": 6 for prefix in ("周", "星期", "礼拜")},
    **{prefix + str(at + 1): at for prefix in ("周", "星期") for at in range(7)},
}
_GROUPS = {
    "daily": range(7),
    "everyday": range(7),
    "每天": range(7),
    "每日": range(7),
    "weekdays": range(5),
    "工作日": range(5),
    "weekend": range(5, 7),
    "周末": range(5, 7),
}
_TIME = r"(\d{1,2}):(\d{2})"
_SPAN = re.compile(rf"{_TIME}-{_TIME}")
_FIRST_TIME = re.compile(r"\d{1,2}:\d{2}")
# "周一至五" and "周一、三" leave out the word for "day" the second time.
_SHORT = re.compile(r"(周|星期|礼拜)([一二三四五六日天])((?:[-,][一二三四五六日天])+)")


def parse(text: str) -> Week:
    """The intervals of ``text``; a span over midnight goes on in the next day. Raises ``FieldProblem``."""
    minutes: list[list[tuple[int, int]]] = [[] for _ in range(7)]
    for part in re.split(r"[;\n|]", _plain(text)):
        if not part.strip():
            continue
        days, spans = _split(part.strip())
        for day in days:
            for start, end in spans:
                minutes[day].append((start, min(end, DAY_MINUTES)))
                if end > DAY_MINUTES:
                    minutes[(day + 1) % 7].append((0, end - DAY_MINUTES))
    return tuple(_merged(day) for day in minutes)


def render(week: Week) -> str:
    """The normal form: days with equal hours together, in the order of the week. ``parse`` reads it back."""
    groups: dict[tuple[tuple[int, int], ...], list[int]] = {}
    for day, spans in enumerate(week):
        if spans:
            groups.setdefault(spans, []).append(day)
    return "; ".join(
        f"{_day_names(days)} {', '.join(f'{_clock(start)}-{_clock(end)}' for start, end in spans)}"
        for spans, days in groups.items()
    )


def normal(text: str) -> str:
    """``text`` in its normal form; empty if it is empty. Raises ``FieldProblem``."""
    return render(parse(text))


def _plain(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).casefold()
    text = re.sub(r"[‐-―~〜至到]", "-", text)
    text = re.sub(r"[、,]", ",", text)
    return re.sub(r"\s*([-,:])\s*", r"\1", text)


def _split(part: str) -> tuple[list[int], list[tuple[int, int]]]:
    first = _FIRST_TIME.search(part)
    if first is None:
        raise FieldProblem(f"{part!r} names no time", RIGHT)
    days = part[: first.start()].strip(" :,")
    if not days:
        raise FieldProblem(f"{part!r} does not begin with the days", RIGHT)
    return _days(days), [_span(span) for span in re.split(r"[,\s]+", part[first.start() :].strip())]


def _days(text: str) -> list[int]:
    text = _SHORT.sub(lambda m: m[1] + m[2] + re.sub(r"([-,])", rf"\g<1>{m[1]}", m[3]), text)
    days: list[int] = []
    for item in re.split(r"[,\s]+", text):
        if item in _GROUPS:
            days.extend(_GROUPS[item])
            continue
        first, dash, last = item.partition("-")
        if first not in _DAYS or (dash and last not in _DAYS):
            raise FieldProblem(f"{item!r} is no day of the week", RIGHT)
        count = (_DAYS[last] - _DAYS[first]) % 7 + 1 if dash else 1
        days.extend((_DAYS[first] + step) % 7 for step in range(count))
    return days


def _span(text: str) -> tuple[int, int]:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise FieldProblem(f"{text!r} is no span of time", RIGHT)
    start, end = _minutes(match[1], match[2], text), _minutes(match[3], match[4], text)
    if start in (end, DAY_MINUTES):
        raise FieldProblem(f"{text!r} is empty", "write 00:00-24:00 for the whole day")
    return start, end if end > start else end + DAY_MINUTES


def _minutes(hour: str, minute: str, span: str) -> int:
    value = int(hour) * 60 + int(minute)
    if int(minute) > 59 or value > DAY_MINUTES:
        raise FieldProblem(f"{span!r} holds no time of day", "hours are 00:00 to 24:00")
    return value


def _merged(spans: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return tuple(merged)


def _day_names(days: list[int]) -> str:
    runs: list[list[int]] = []
    for day in days:
        if runs and day == runs[-1][-1] + 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    return ",".join("-".join((NAMES[run[0]], NAMES[run[-1]])) if len(run) > 1 else NAMES[run[0]] for run in runs)


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
