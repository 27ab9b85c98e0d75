"""The 8 digits that are read out by phone: what is told arrives, and what is misheard does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitekeeper_protocol import sitecode
from sitekeeper_protocol.sitecode import BINDINGS, Lasting, Refusal, SiteCodeError, SpokenCode, decode, encode, find_site, heard
from sitekeeper_protocol.texts import LANGUAGES
from sitekeeper_protocol.vocabulary import KIND_NUMBERS, Kind, Rung

SITES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}", fullmatch=True)
KINDS = st.none() | st.sampled_from(Kind)
RUNGS = st.none() | st.sampled_from(Rung)
MINUTES = st.none() | st.integers(0, 10**7)
CODES = st.builds(
    lambda site, kind, rung, minutes: encode(site=site, kind=kind, rung=rung, minutes=minutes), SITES, KINDS, RUNGS, MINUTES
)

# Read out by people and kept in ledgers: these never change.
GOLDEN = [
    ("04280369", "0417", Kind.LINE_DOWN, None, 0),
    ("04642157", "0417", Kind.LINE_DOWN, None, 90),
    ("10905716", "52263-0417", Kind.LINK_DOWN, None, 20_000),
    ("00011737", "52263-0417", None, None, None),
    ("99908946", "52263-0417", None, Rung.MEDIA, 1_000_000),
    ("47418183", "a", Kind.LONG_UNHEARD, None, 5),
]  # fmt: skip


def refusal(code: str, site: str = "0417") -> Refusal:
    with pytest.raises(SiteCodeError) as caught:
        decode(code, site)
    assert str(caught.value) == f"{caught.value.code}: {caught.value.detail}"
    return caught.value.code


@pytest.mark.parametrize(("code", "site", "kind", "rung", "minutes"), GOLDEN)
def test_codes_never_change(code: str, site: str, kind: Kind | None, rung: Rung | None, minutes: int | None) -> None:
    assert encode(site=site, kind=kind, rung=rung, minutes=minutes) == code
    number = KIND_NUMBERS[kind] if kind else 0
    assert decode(code, site) == SpokenCode(number, kind, rung, sitecode.lasting_of(minutes))


@given(site=SITES, kind=KINDS, rung=RUNGS, minutes=MINUTES)
def test_what_is_told_arrives(site: str, kind: Kind | None, rung: Rung | None, minutes: int | None) -> None:
    code = encode(site=site, kind=kind, rung=rung, minutes=minutes)
    assert len(code) == 8 and code.isascii() and code.isdecimal()
    told = decode(code, site)
    assert (told.kind, told.rung) == (kind, None if kind else rung)
    assert site in find_site(code, ["another", site])
    if minutes is None:
        assert (told.lasting, told.lasting.least_minutes, told.lasting.below_minutes) == (Lasting.UNKNOWN, None, None)
    else:
        least, below = told.lasting.least_minutes, told.lasting.below_minutes
        assert least is not None and least <= minutes and (below is None or minutes < below)


@given(CODES)
def test_every_single_wrong_digit_is_noticed(code: str) -> None:
    for at in range(8):
        for digit in "0123456789":
            if digit != code[at]:
                assert refusal(code[:at] + digit + code[at + 1 :]) is Refusal.MISHEARD


@given(CODES)
def test_every_swap_of_neighbours_is_noticed(code: str) -> None:
    for at in range(7):
        if code[at] != code[at + 1]:
            assert refusal(code[:at] + code[at + 1] + code[at] + code[at + 2 :]) is Refusal.MISHEARD


def test_another_sites_code_passes_as_seldom_as_designed() -> None:
    code = encode(site="0417", kind=Kind.LINE_DOWN, rung=None, minutes=30)
    others = [f"52263-{number:06}" for number in range(400_000)]
    fitting = find_site(code, others)
    assert 0.5 < len(fitting) / (len(others) / BINDINGS) < 1.6
    assert refusal(code, "0418") is Refusal.OTHER_SITE
    assert all(decode(code, site).kind is Kind.LINE_DOWN for site in fitting)


def test_sites_that_look_alike_for_one_fault_differ_for_another() -> None:
    code = encode(site="0417", kind=Kind.LINE_DOWN, rung=None, minutes=30)
    alike = find_site(code, (f"52263-{number:06}" for number in range(100_000)))
    later = encode(site="0417", kind=Kind.LINE_DOWN, rung=None, minutes=60)
    assert len(alike) > 1 and find_site(later, alike) == ()


def test_all_but_one_of_ten_foreign_numbers_fall_to_the_check_digit_and_the_rest_to_the_site() -> None:
    taken, reasons = 0, []
    for number in range(0, 10**8, 9_973):
        try:
            decode(f"{number:08}", "0417")
            taken += 1
        except SiteCodeError as err:
            reasons.append(err.code)
    assert taken <= 3
    assert 0.08 < reasons.count(Refusal.OTHER_SITE) / len(reasons) < 0.12


@pytest.mark.parametrize(
    "text",
    [
        "04280369", "0428 0369", "0428-0369", " 04 28\t03 69\n", "０４２８０３６９", "０４２８　０３６９", "0428－0369",
        "〇四二八〇三六九", "零肆贰捌零叁陆玖", "洞四两八零三六勾", "零四二八，零三六九。", "0四2八-〇3６9", "0428–0369",
        "\u200b0428\u200b0369", "0428、0369",
    ],
)  # fmt: skip
def test_people_type_what_they_hear(text: str) -> None:
    assert heard(text) == "04280369"
    assert decode(text, "0417").kind is Kind.LINE_DOWN


def test_every_way_to_read_a_digit_is_understood() -> None:
    assert heard("幺两三四五六拐八") == heard("一二三四五六七八") == heard("1234５６７８") == "12345678"
    assert heard("么兩叁肆伍陆柒捌") == "12345678"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1234567",
        "123456789",
        "0428036x",
        "十二三四五六七八",
        "0428036½",
        "0428+369",
        "٠٤٢٨٠٣٦٩",
        "\ud800" * 8,
        "1" * 10**6,
        "ﷺ" * 90,
    ],
)
def test_what_is_no_code_is_refused(text: str) -> None:
    assert refusal(text) is Refusal.NOT_EIGHT_DIGITS


@given(st.text(max_size=120), st.text(max_size=60))
def test_any_text_is_answered_with_a_code_or_with_the_one_error(code: str, site: str) -> None:
    try:
        assert decode(code, site).number < sitecode.KIND_SLOTS
    except SiteCodeError as err:
        assert err.code in Refusal
        assert len(err.detail) < 120


def test_a_kind_of_a_newer_program_is_kept_as_its_number() -> None:
    seen = 60 * sitecode.DURATIONS + Lasting.FROM_1_H
    payload = f"{seen * BINDINGS + sitecode._fingerprint('0417', seen):07}"
    told = decode(payload + str(sitecode._damm(payload)), "0417")
    assert told == SpokenCode(60, None, None, Lasting.FROM_1_H)


def test_all_kinds_and_rungs_have_room_and_the_digits_suffice() -> None:
    assert max(KIND_NUMBERS.values()) < sitecode.KIND_SLOTS
    assert max(Rung) <= sitecode.SLOTS - sitecode.KIND_SLOTS
    assert len(Lasting) == sitecode.DURATIONS
    assert sitecode.SLOTS * sitecode.DURATIONS * BINDINGS <= 10**7


def test_the_check_digit_is_damms() -> None:
    """572 with the digit 4 is the example of Damm's procedure that other implementations are checked with."""
    assert sitecode._damm("572") == 4
    assert sitecode._damm("5724") == 0
    rows = sitecode._DAMM
    assert all(
        "".join(sorted(line)) == "0123456789" for line in (*rows, *("".join(column) for column in zip(*rows, strict=True)))
    )


def test_a_fault_cannot_have_lasted_less_than_nothing() -> None:
    with pytest.raises(ValueError, match="-1 minutes"):
        encode(site="0417", kind=Kind.LINE_DOWN, rung=None, minutes=-1)


def test_steps_of_time_and_refusals_are_named_in_both_languages() -> None:
    assert set(sitecode.LASTING) == set(Lasting)
    assert set(sitecode.REFUSALS) == set(Refusal)
    for lang in LANGUAGES:
        assert len({sitecode.lasting(step, lang) for step in Lasting}) == len(Lasting)
        assert len({SiteCodeError(code, "").words(lang) for code in Refusal}) == len(Refusal)
    for zh, en in (*sitecode.LASTING.values(), *sitecode.REFUSALS.values()):
        assert not zh.isascii() and en.isascii()


def test_the_digits_are_shown_in_two_groups() -> None:
    assert sitecode.spaced("04280369") == "0428 0369"
