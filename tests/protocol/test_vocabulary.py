"""Words, their numbers and the units of metrics hold together."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitekeeper_protocol.vocabulary import (
    GRADE_NUMBERS,
    KIND_NUMBERS,
    KINDS,
    METRICS,
    PARTY_NUMBERS,
    Kind,
    Metric,
    Party,
    Severity,
    from_wire,
    grade_of_number,
    kind_of_number,
    metric_name,
    party_of_number,
    to_wire,
)

MEASURED = st.sampled_from(Metric)


@given(MEASURED, st.integers(-(2**40), 2**40))
def test_every_integer_of_a_metric_means_one_value(metric: Metric, integer: int) -> None:
    assert to_wire(metric, from_wire(metric, integer)) == integer


@given(MEASURED, st.floats(-1e12, 1e12))
def test_a_value_loses_at_most_half_a_step(metric: Metric, value: float) -> None:
    again = from_wire(metric, to_wire(metric, value))
    assert abs(again - value) <= METRICS[metric].step * 0.5 + 1e-6 + abs(value) * 1e-12


def test_every_metric_and_every_kind_is_described() -> None:
    assert set(METRICS) == set(Metric)
    assert set(KINDS) == set(Kind)
    assert all(facts.unit and facts.step > 0 and facts.meaning for facts in METRICS.values())


@pytest.mark.parametrize("metric", list(Metric))
def test_a_name_ends_in_its_unit_wherever_a_unit_is_needed(metric: Metric) -> None:
    suffixes = {"ms": "_ms", "ratio": "_ratio", "B": "_bytes", "s": "_s", "°C": "_c", "d": "_days"}
    unit = METRICS[metric].unit
    assert unit not in suffixes or metric.name.lower().endswith(suffixes[unit])


def test_a_metric_of_a_newer_agent_keeps_its_number() -> None:
    assert metric_name(999) == "metric_999"
    assert from_wire(999, 17) == 17.0
    assert metric_name(Metric.CPU_RATIO) == "cpu_ratio"


def test_numbers_fit_the_wire() -> None:
    assert all(0 < metric <= 0xFFFF for metric in Metric)


@pytest.mark.parametrize(
    ("kind", "party", "severity"),
    [
        (Kind.LINE_DOWN, Party.TELECOM, Severity.CRITICAL),
        (Kind.GATEWAY_DOWN, Party.SITE, Severity.MAJOR),
        (Kind.ARREARS, Party.MANAGEMENT, Severity.MAJOR),
        (Kind.MEDIA_DOWN, Party.PLATFORM, Severity.MAJOR),
        (Kind.POWER_LOSS, Party.POWER, Severity.INFO),
        (Kind.FLAPPING, None, None),
        (Kind.LONG_UNHEARD, Party.MANAGEMENT, None),
    ],
)
def test_whose_job_a_kind_is(kind: Kind, party: Party | None, severity: Severity | None) -> None:
    assert (KINDS[kind].party, KINDS[kind].severity) == (party, severity)


def test_the_numbers_of_kinds_parties_and_grades_never_change() -> None:
    words = [*KIND_NUMBERS, *PARTY_NUMBERS, *GRADE_NUMBERS]
    assert zlib.crc32(",".join(words).encode()) == 1853580784, (
        "a word was moved; new ones go to the end, and this number with them"
    )
    assert all(kind_of_number(number) is kind for kind, number in KIND_NUMBERS.items())
    assert all(party_of_number(number) is party for party, number in PARTY_NUMBERS.items())
    assert all(grade_of_number(number) is grade for grade, number in GRADE_NUMBERS.items())
    of_number = (kind_of_number, party_of_number, grade_of_number)
    assert all(find(unknown) is None for find in of_number for unknown in (0, 999, None))
