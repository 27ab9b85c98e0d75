"""Whatever happens to settings on trial, what is in use was confirmed, or is still to be, and the way back is never lost."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sitekeeper_agent.config import Broker, Remote, Settings
from sitekeeper_agent.journal import Now
from sitekeeper_agent.remote import shelf, trial
from sitekeeper_agent.remote.keeper import Keeper, in_use
from sitekeeper_agent.remote.trial import FILE_ALONE, MAX_STARTS, Kept, Offer, Outcome
from sitekeeper_protocol.messages import RemoteConfig, ResultState

BASE = Settings(
    site="v1", area="lab", broker=Broker(host="a.example"), portal="http://p.example/", remote=Remote(confirm_within_s=60)
)
OFFERS = [Offer(at, {"phone": f"0851-{at}"}) for at in range(1, 5)]


def offer(revision: int, **changes: object) -> RemoteConfig:
    return RemoteConfig(1, revision, 0, changes)  # type: ignore[arg-type]


def news(keeper: Keeper) -> Outcome:
    """What is to be told."""
    told = keeper.news
    assert told is not None
    return told


def at(seconds: float) -> Now:
    return Now(0, 0, round(seconds * 1000))


STEPS = st.one_of(
    st.tuples(st.just("good"), st.sampled_from(OFFERS)),
    st.tuples(st.just("bad"), st.sampled_from(OFFERS)),
    st.tuples(st.sampled_from(["receipt", "late", "start", "told"]), st.none()),
)


@given(st.lists(STEPS, max_size=40))
def test_any_sequence_of_offers_receipts_crashes_and_restarts_ends_with_the_last_confirmed(
    steps: list[tuple[str, Offer | None]],
) -> None:
    kept, confirmed = Kept(), FILE_ALONE
    for step, given_offer in steps:
        if given_offer is not None:
            before = kept
            kept = trial.offered(kept, given_offer, "phone: no" if step == "bad" else "")
            assert kept.outcome is not None
            if step == "bad" and given_offer != before.used:
                assert kept.used == before.used and kept.outcome.state in (ResultState.REFUSED, ResultState.FAILED)
        elif step == "receipt":
            confirmed = kept.used
            kept = trial.confirmed(kept)
            assert kept.trial is None
        elif step == "late":
            kept = trial.taken_back(kept, "late")
            assert kept.used == confirmed
        elif step == "start":
            kept = trial.started(kept)
        else:
            kept = trial.acknowledged(kept)
        assert kept.good == confirmed, "only a receipt makes settings good"
        assert kept.trial != kept.good
    for _ in range(MAX_STARTS + 1):
        kept = trial.started(kept)
    assert kept.used == confirmed, "an agent that only ever dies comes back to what was good"


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(["offer", "receipt", "wait", "kill"]), st.integers(1, 4)), max_size=15))
def test_the_same_holds_on_disk_and_a_kill_at_any_point_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("state")
    keeper, now_s, number, confirmed = Keeper(folder, BASE), 0.0, 0, BASE
    for step, amount in steps:
        if step == "offer":
            keeper.offer(offer(amount, phone=f"0851-{amount}"), number=number)
        elif step == "receipt":
            number += 1
            keeper.answered(number)
            confirmed = keeper.settings
        elif step == "wait":
            now_s += 20 * amount
            keeper.tick(at(now_s))
        else:
            used = keeper.settings
            keeper, number = Keeper(folder, BASE), 0
            assert keeper.settings in (used, confirmed)
    keeper.tick(at(now_s))
    keeper.tick(at(now_s + 60))
    assert keeper.settings == confirmed


def test_a_receipt_for_an_earlier_report_confirms_nothing(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path, BASE)
    assert keeper.offer(offer(7, phone="1"), number=5)
    assert (keeper.revision, keeper.settings.phone) == (7, "1")
    assert news(keeper).state is ResultState.ACCEPTED
    keeper.answered(5)
    assert keeper.due_ms(at(0)) == 60_000, "it is on trial still"
    keeper.answered(6)
    assert keeper.due_ms(at(0)) is None
    assert news(keeper).state is ResultState.DONE


def test_without_a_receipt_in_time_the_settings_before_come_back_and_it_is_told_until_it_is_heard(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path, BASE)
    keeper.offer(offer(1, phone="1"), number=0)
    keeper.answered(1)
    keeper.offer(offer(2, phone="2"), number=1)
    assert not keeper.tick(at(100)), "the time begins when it is in use"
    assert not keeper.tick(at(159.9))
    assert keeper.tick(at(160))
    assert (keeper.revision, keeper.settings.phone) == (1, "1")
    again = Keeper(tmp_path, BASE)
    assert (news(again).revision, news(again).state) == (2, ResultState.FAILED)
    again.told(news(again))
    assert again.news is None and Keeper(tmp_path, BASE).news is None
    assert not again.offer(offer(2, phone="2"), number=0), "the same again is told again, not tried again"
    assert news(again).state is ResultState.FAILED


def test_an_agent_that_dies_with_new_settings_again_and_again_starts_without_them(tmp_path: Path) -> None:
    Keeper(tmp_path, BASE).offer(offer(1, phone="1"), number=0)
    used = [Keeper(tmp_path, BASE).settings.phone for _ in range(MAX_STARTS + 2)]
    assert used == ["1"] * MAX_STARTS + ["", ""]


def test_reading_what_is_in_use_counts_as_no_start(tmp_path: Path) -> None:
    base = replace(BASE, state_dir=str(tmp_path))
    assert in_use(base) == base
    Keeper(tmp_path, base).offer(offer(1, phone="1"), number=0)
    assert [in_use(base).phone for _ in range(2 * MAX_STARTS)] == ["1"] * 2 * MAX_STARTS
    assert Keeper(tmp_path, base).settings.phone == "1"
    slower = replace(base, phone="2", remote=Remote(enabled=False))
    assert in_use(slower) == slower


@pytest.mark.parametrize("damage", [b"", b"\0" * 40, b"\xff" * 5000])
def test_a_damaged_file_costs_the_changes_and_nothing_else(tmp_path: Path, damage: bytes) -> None:
    keeper = Keeper(tmp_path, BASE)
    keeper.offer(offer(1, phone="1"), number=0)
    keeper.answered(1)
    (tmp_path / shelf.FILE_NAME).write_bytes(damage)
    assert Keeper(tmp_path, BASE).settings == BASE


def test_every_single_flipped_byte_is_noticed(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path, BASE)
    keeper.offer(offer(1, phone="1"), number=0)
    keeper.answered(1)
    file = tmp_path / shelf.FILE_NAME
    whole = file.read_bytes()
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert shelf.load(tmp_path) == Kept()


def test_a_disk_that_takes_nothing_refuses_new_settings(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path, BASE)
    (tmp_path / f"{shelf.FILE_NAME}.new").mkdir()
    assert not keeper.offer(offer(1, phone="1"), number=0)
    assert keeper.settings == BASE
    assert news(keeper).text.startswith("state_dir: the disk takes nothing")


def test_settings_that_no_longer_go_with_the_agents_file_are_told_and_left_out(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path, BASE)
    keeper.offer(offer(1, report_interval_s=90), number=0)
    keeper.answered(1)
    slower = replace(BASE, sample_interval_s=120)
    again = Keeper(tmp_path, slower)
    assert again.settings == slower and again.revision == 0
    assert (news(again).state, news(again).text.partition(":")[0]) == (ResultState.REFUSED, "report_interval_s")


def test_a_site_whose_file_says_so_takes_nothing_from_afar(tmp_path: Path) -> None:
    closed = replace(BASE, remote=Remote(enabled=False))
    keeper = Keeper(tmp_path, closed)
    assert not keeper.offer(offer(1, phone="1"), number=0)
    assert keeper.settings == closed and news(keeper).state is ResultState.REFUSED
