"""When half an hour of probes makes a poor line, and when it must not; what is learned of a line, and what is forgotten."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitekeeper_agent.learned import LOOKS, Learned, stored
from sitekeeper_agent.probes import window
from sitekeeper_agent.probes.window import SPAN_S, Judgement, Quality, judge, quality
from sitekeeper_protocol.messages import SeriesKey
from sitekeeper_protocol.vocabulary import Metric, Reason

GOOD_GATEWAY = Quality(60, 60, 1.0, 1.0, 0.1)
NOTHING, LOSS, SLOW = Reason.NONE, Reason.PACKET_LOSS, Reason.HIGH_LATENCY


def line(sent: int, lost: int = 0, ms: float = 10.0) -> Quality:
    return Quality(sent, sent - lost, ms if lost < sent else None, ms if lost < sent else None, 0.0)


CASES = {
    "a good line": ([line(60), line(60)], [], GOOD_GATEWAY, Judgement()),
    "too few probes": ([line(40, 10), line(40, 10)], [line(40, 4)], GOOD_GATEWAY, Judgement()),
    "one target only": ([line(120, 12)], [line(40, 4)], GOOD_GATEWAY, Judgement()),
    "a second target that never answers is none": ([line(120, 12), line(120, 120)], [line(40, 4)], GOOD_GATEWAY, Judgement()),
    "one lossy target of two is that target's": ([line(60, 12), line(60)], [], GOOD_GATEWAY, Judgement()),
    "loss, not confirmed yet": ([line(60, 3), line(60, 6)], [], GOOD_GATEWAY, Judgement(LOSS)),
    "loss, connects show none": ([line(60, 6), line(60, 6)], [line(20), line(20)], GOOD_GATEWAY, Judgement(LOSS)),
    "loss, confirmed": ([line(60, 6), line(60, 6)], [line(20, 2), line(20, 1)], GOOD_GATEWAY, Judgement(LOSS, True)),
    "loss just below": ([line(100, 4), line(100, 4)], [line(40, 4)], GOOD_GATEWAY, Judgement()),
    "the gateway loses as much": ([line(60, 6), line(60, 6)], [line(40, 4)], line(60, 5, 1.0), Judgement()),
    "a gateway that answers no echo excuses nothing": (
        [line(60, 6), line(60, 6)],
        [line(40, 4)],
        line(60, 60),
        Judgement(LOSS, True),
    ),
    "three times as slow, confirmed": (
        [line(60, 0, 31), line(60, 0, 40)],
        [line(20, 0, 33)],
        GOOD_GATEWAY,
        Judgement(SLOW, True),
    ),
    "three times as slow by echoes alone": (
        [line(60, 0, 31), line(60, 0, 40)],
        [line(20, 0, 11)],
        GOOD_GATEWAY,
        Judgement(SLOW),
    ),
    "slow on the radio up to the gateway": (
        [line(60, 0, 40), line(60, 0, 40)],
        [line(20, 0, 40)],
        line(60, 0, 30),
        Judgement(),
    ),
    "no echo at all, connects alone": ([line(60, 60)] * 2, [line(60, 6), line(60, 6)], line(60, 60), Judgement(LOSS, True)),
}


@pytest.mark.parametrize("case", CASES)
def test_the_rule_of_the_catalogue(case: str) -> None:
    echoes, connects, gateway, expected = CASES[case]
    assert judge(echoes, connects, gateway, 10.0) == expected


def test_nine_milliseconds_are_not_slow_where_three_are_usual() -> None:
    fast = [line(60, 0, 9), line(60, 0, 9)]
    assert judge(fast, fast, Quality(), 3.0) == Judgement()
    assert judge(fast, fast, Quality(), None) == Judgement(), "without anything usual nothing is slower"


def test_percentiles_and_jitter_are_those_of_the_answers() -> None:
    found = quality([(1, 10_000), (1, -1), (2, 12_000), (2, 30_000), (3, 12_000)])
    assert (found.sent, found.received, found.p50_ms, found.p95_ms) == (5, 4, 12.0, 30.0)
    assert found.jitter_ms == pytest.approx((2 + 18 + 18) / 3)
    assert quality([(1, -1)]) == Quality(1) and quality([]) == Quality() and quality([]).loss_ratio == 0.0


def test_what_is_older_than_half_an_hour_is_forgotten_and_the_rest_comes_back_as_it_was() -> None:
    kept: window.Window = {}
    window.add(kept, "ipv4 echo 203.0.113.1", 10, [1.5, 2.5], 1)
    window.add(kept, "ipv4 echo 203.0.113.1", 100, [3.0], 0)
    counters = window.keep(kept)
    assert window.recall(counters, 101) == kept
    assert window.recall(counters, SPAN_S + 11) == {"ipv4 echo 203.0.113.1": [(100, 3000)]}
    assert window.recall(counters, 2 * SPAN_S) == {} == window.recall(counters, 5), "a clock that went back proves nothing"


@given(st.dictionaries(st.text(max_size=30), st.integers(), max_size=20), st.integers(0, 2**40))
def test_counters_that_make_no_sense_are_left_out(counters: dict[str, int], now_s: int) -> None:
    for series in window.recall(counters, now_s).values():
        assert quality(series).sent == len(series)


# --- what is learned -----------------------------------------------------------------------------------------------------


def half_hour(p50_ms: float, probes: int = 120, loss: float = 0.0) -> dict[SeriesKey, int]:
    return {
        (Metric.LINE_PROBES.value, "ipv4/isp"): probes,
        (Metric.LINE_LOSS_RATIO.value, "ipv4/isp"): round(loss * 1000),
        (Metric.LINE_RTT_P50_MS.value, "ipv4/isp"): round(p50_ms * 10),
    }


def usual(learned: Learned, *medians: float) -> float | None:
    for p50_ms in medians:
        learned = learned.after(half_hour(p50_ms), {}, half_hour=True)
    return learned.usual_rtt_ms.get("ipv4")


def test_what_is_usual_moves_slowly_and_never_towards_a_fault() -> None:
    assert usual(Learned(), 10.0) == 10.0
    assert usual(Learned(), 10.0, 18.0) == 11.0
    assert usual(Learned(), 10.0, 30.0, 300.0) == 10.0
    assert Learned().after(half_hour(10.0, probes=99), {}, half_hour=True).usual_rtt_ms == {}
    assert Learned().after(half_hour(10.0, loss=0.05), {}, half_hour=True).usual_rtt_ms == {}
    assert Learned().after(half_hour(10.0), {}, half_hour=False).usual_rtt_ms == {}


def seen(*hops: str) -> Learned:
    learned = Learned()
    for hop in hops:
        learned = learned.after({}, {"network.second_hop.ipv4": hop} if hop else {}, half_hour=False)
    return learned


def test_a_modem_is_learned_when_it_was_there_three_times_on_end() -> None:
    modem = "192.168.100.1"
    assert seen(*[modem] * (LOOKS - 1)).modems == {}
    assert seen(*[modem] * LOOKS).modems == {"ipv4": modem}
    assert seen(modem, modem, "192.168.7.1", modem).modems == {}
    assert seen(modem, "", modem, "", modem).modems == {"ipv4": modem}, "a look that finds nobody says nothing"
    assert seen(*[modem] * LOOKS, *["192.168.7.1"] * LOOKS).modems == {"ipv4": "192.168.7.1"}, "it was replaced"


@pytest.mark.parametrize("hop", ["100.64.0.1", "10.0.0.1", "61.144.1.1", "fd00::1"])
def test_a_hop_that_may_be_the_providers_is_no_modem(hop: str) -> None:
    assert seen(*[hop] * 5).modems == {}


def test_what_the_spool_kept_badly_is_nothing() -> None:
    assert stored(None) == stored(b"") == stored(b"\xff\x00") == stored(b"\x81\xa4hops\x07") == Learned()
