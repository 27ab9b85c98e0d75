"""When settings and commands are sent, sent again and given up; what a site's word may change."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert

from sitekeeper_collector.domain.remote import (
    AGAIN_MS,
    COMMAND_AGAIN_MS,
    ONLINE_MS,
    RESULT_MS,
    CommandState,
    ConfigState,
    Contact,
    Step,
    command_step,
    config_due,
)
from sitekeeper_collector.remote.post import Post
from sitekeeper_collector.store import remote
from sitekeeper_collector.store.engine import Store, open_store
from sitekeeper_collector.store.remote import Request
from sitekeeper_collector.store.tables import runs, site_state
from sitekeeper_protocol import codec
from sitekeeper_protocol.messages import CommandName, Result, ResultState

NOW = 1_800_000_000_000


def contact(*, ago_ms: int = 0, revision: int = 0) -> Contact:
    return Contact("lab", NOW - ago_ms, revision)


@pytest.mark.parametrize(
    ("state", "sent_ago_ms", "live_ago_ms", "reported", "due"),
    [
        (ConfigState.PENDING, None, 1000, 0, True),
        (ConfigState.PENDING, None, ONLINE_MS, 0, False),
        (ConfigState.SENT, AGAIN_MS, 1000, 0, True),
        (ConfigState.SENT, AGAIN_MS - 1, 1000, 0, False),
        (ConfigState.SENT, AGAIN_MS * 9, AGAIN_MS * 10, 0, False),
        (ConfigState.SENT, AGAIN_MS, 1000, 5, True),
        (ConfigState.TRIAL, AGAIN_MS, 1000, 5, False),
        (ConfigState.TRIAL, AGAIN_MS, 1000, 0, True),
        (ConfigState.APPLIED, AGAIN_MS, 1000, 5, False),
        (ConfigState.APPLIED, AGAIN_MS, 1000, 4, True),
        (ConfigState.REFUSED, AGAIN_MS, 1000, 0, False),
        (ConfigState.ROLLED_BACK, AGAIN_MS, 1000, 0, False),
        (ConfigState.SUPERSEDED, None, 1000, 0, False),
    ],
)
def test_settings_go_to_a_live_site_that_does_not_use_them_and_never_again_once_it_said_no(
    state: ConfigState, sent_ago_ms: int | None, live_ago_ms: int, reported: int, due: bool
) -> None:
    sent_ms = None if sent_ago_ms is None else NOW - sent_ago_ms
    assert config_due(state, 5, sent_ms, contact(ago_ms=live_ago_ms, revision=reported), NOW) is due


@pytest.mark.parametrize(
    ("state", "sent_ago_ms", "expires_in_ms", "live_ago_ms", "step"),
    [
        (CommandState.PENDING, None, 1000, 0, Step.SEND),
        (CommandState.PENDING, None, 1000, None, Step.WAIT),
        (CommandState.PENDING, None, 1000, ONLINE_MS, Step.WAIT),
        (CommandState.PENDING, None, -1, 0, Step.EXPIRE),
        (CommandState.SENT, COMMAND_AGAIN_MS, 1000, 0, Step.SEND),
        (CommandState.SENT, COMMAND_AGAIN_MS - 1, 1000, 0, Step.WAIT),
        (CommandState.SENT, COMMAND_AGAIN_MS, 1000, COMMAND_AGAIN_MS, Step.WAIT),
        (CommandState.SENT, COMMAND_AGAIN_MS, -1, 0, Step.EXPIRE),
        (CommandState.ACCEPTED, 1000, -RESULT_MS, 0, Step.WAIT),
        (CommandState.ACCEPTED, 1000, -RESULT_MS - 1, 0, Step.GIVE_UP),
    ],
)
def test_a_command_goes_out_while_it_lives_and_is_given_up_after(
    state: CommandState, sent_ago_ms: int | None, expires_in_ms: int, live_ago_ms: int | None, step: Step
) -> None:
    sent_ms = None if sent_ago_ms is None else NOW - sent_ago_ms
    known = None if live_ago_ms is None else contact(ago_ms=live_ago_ms)
    assert command_step(state, sent_ms, NOW + expires_in_ms, known, NOW) is step


# --- the tables ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    yield opened
    opened.close()


def live(store: Store, site: str, at_ms: int, revision: int = 0) -> None:
    """The site has just reported live."""
    with store.write() as connection:
        connection.execute(
            insert(runs).values(
                site=site,
                run=9,
                boot=1,
                coverage=b"",
                samples=0,
                dropped=0,
                refused=0,
                first_heard_ms=at_ms,
                last_heard_ms=at_ms,
                last_live_ms=at_ms,
                connection=1,
                config_revision=revision,
            )
        )
        row: dict[str, object] = {column.name: 0 for column in site_state.columns if not column.nullable}
        known = {"site": site, "area": "lab", "presence": "online", "presence_reason": "", "live_run": 9, "live_runs": b""}
        connection.execute(insert(site_state).values(**row | known | {"last_live_ms": at_ms}))


def request(id_: str, site: str = "v1") -> Request:
    return Request(id_, site, "trace", {"to": "portal"}, NOW, NOW + 60_000, None, CommandState.PENDING, {}, "", None)


def test_what_is_owed_goes_out_once_as_the_wire_wants_it(store: Store) -> None:
    live(store, "v1", NOW)
    with store.write() as connection:
        revision = remote.want(connection, "v1", {"phone": "0851", "anchors": ["10.0.0.1"]}, NOW)
        remote.want(connection, "v2", {"phone": "1"}, NOW)
        remote.ask(connection, request("c1"))
        remote.ask(connection, request("c2", "v2"))
    assert Post(store, ["other"]).due(NOW) == [], "another process hears that area, and speaks there"
    post = Post(store)
    config, command = post.due(NOW)
    assert (config.topic, command.topic) == ("sk/v1/lab/v1/config", "sk/v1/lab/v1/command")
    told = codec.decode_config(config.payload)
    assert (told.revision, told.settings) == (revision, {"phone": "0851", "anchors": ["10.0.0.1"]})
    asked = codec.decode_command(command.payload)
    assert (asked.id, asked.name, asked.arguments) == ("c1", CommandName.TRACE, {"to": "portal"})
    assert post.due(NOW + 999) == [] and post.due(NOW + 5000) == []
    post.due(NOW + 61_000)
    with store.read() as connection:
        waiting = [(known.id, known.state) for known in remote.open_requests(connection)]
        gone = remote.request(connection, "c2")
    assert waiting == [] and gone is not None and gone.state is CommandState.EXPIRED


def test_revisions_grow_and_an_older_one_is_superseded(store: Store) -> None:
    with store.write() as connection:
        first = remote.want(connection, "v1", {"phone": "1"}, NOW)
        second = remote.want(connection, "v1", {"phone": "2"}, NOW)
        third = remote.want(connection, "v1", {"phone": "3"}, NOW - 10**9)
        assert first < second < third
        assert [known.state for known in remote.configs(connection, "v1")] == ["pending", "superseded", "superseded"]
        # A late word about a superseded one changes nothing.
        remote.book(connection, [("v1", outcome(first, ResultState.DONE))], NOW)
        assert [known.state for known in remote.configs(connection, "v1")] == ["pending", "superseded", "superseded"]


def outcome(revision: int | str, state: ResultState, text: str = "") -> Result:
    return Result(1, f"config-{revision}", CommandName.CONFIGURE, state, 0, text=text)


@pytest.mark.parametrize(
    ("state", "booked"),
    [
        (ResultState.ACCEPTED, ConfigState.TRIAL),
        (ResultState.DONE, ConfigState.APPLIED),
        (ResultState.REFUSED, ConfigState.REFUSED),
        (ResultState.FAILED, ConfigState.ROLLED_BACK),
    ],
)
def test_a_sites_word_is_noted_of_its_own_settings_only(store: Store, state: ResultState, booked: ConfigState) -> None:
    with store.write() as connection:
        revision = remote.want(connection, "v1", {}, NOW)
        hostile = [outcome(word, state) for word in ("", "x", "-1", "９", "9" * 70, revision + 1)]
        remote.book(connection, [("v2", outcome(revision, state)), *(("v1", one) for one in hostile)], NOW)
        (known,) = remote.configs(connection, "v1")
        assert known.state is ConfigState.PENDING
        remote.book(connection, [("v1", outcome(revision, state, "why"))], NOW + 1)
        (known,) = remote.configs(connection, "v1")
        assert (known.state, known.reason) == (booked, "why")


def test_a_result_is_noted_once_and_from_the_asked_site_only(store: Store) -> None:
    def said(state: ResultState, text: str = "") -> Result:
        return Result(1, "c1", CommandName.TRACE, state, 0, {"1": "10.0.0.1 2.0"}, text)

    with store.write() as connection:
        remote.ask(connection, request("c1"))
        remote.book(connection, [("v2", said(ResultState.DONE, "forged"))], NOW)
        remote.book(connection, [("v1", said(ResultState.ACCEPTED)), ("v1", said(ResultState.DONE, "true"))], NOW)
        remote.book(connection, [("v1", said(ResultState.ACCEPTED)), ("v1", said(ResultState.FAILED, "late"))], NOW)
        known = remote.request(connection, "c1")
    assert known is not None
    assert (known.state, known.text, known.measured) == (CommandState.DONE, "true", {"1": "10.0.0.1 2.0"})
