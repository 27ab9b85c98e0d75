"""The ladder's readings out of the values of a sample."""

from collections.abc import Mapping
from enum import IntEnum
from typing import TypeVar

from sitekeeper_protocol.ladder import Reading
from sitekeeper_protocol.messages import SeriesKey
from sitekeeper_protocol.vocabulary import METRICS, Method, Metric, Reason, Rung, State


def ladder(values: Mapping[SeriesKey, int]) -> dict[str, list[Reading]]:
    """The readings of a sample by path, lowest rung first. What a newer agent names and we don't know is left out."""
    paths: dict[str, list[Reading]] = {}
    for (metric, instance), number in values.items():
        path, _, rest = instance.partition("/")
        word, _, label = rest.partition("/")
        state = member(State, number)
        if metric != Metric.RUNG_STATE or word.upper() not in Rung.__members__ or state is None:
            continue
        rtt, loss = values.get((Metric.RUNG_RTT_MS, instance)), values.get((Metric.RUNG_LOSS_RATIO, instance))
        paths.setdefault(path, []).append(
            Reading(
                rung=Rung[word.upper()],
                path=path,
                state=state,
                reason=member(Reason, values.get((Metric.RUNG_REASON, instance))) or Reason.NONE,
                method=member(Method, values.get((Metric.RUNG_METHOD, instance))) or Method.NONE,
                rtt_ms=None if rtt is None else rtt * METRICS[Metric.RUNG_RTT_MS].step,
                loss_ratio=None if loss is None else loss * METRICS[Metric.RUNG_LOSS_RATIO].step,
                label=label,
            )
        )
    return {path: sorted(readings, key=lambda r: (r.rung, r.label)) for path, readings in sorted(paths.items())}


E = TypeVar("E", bound=IntEnum)


def member(kind: type[E], number: int | None) -> E | None:
    """The member of that number; ``None`` for one that a newer agent knows and we don't."""
    try:
        return None if number is None else kind(number)
    except ValueError:
        return None
