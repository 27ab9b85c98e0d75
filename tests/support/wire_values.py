"""Hypothesis strategies for everything that crosses the wire, over its whole range, and one realistic report."""

from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec.structs import replace

from sitekeeper_protocol import WIRE_VERSION
from sitekeeper_protocol.messages import (
    ButtonEvent,
    Clock,
    Command,
    CommandName,
    Drop,
    EvidenceItem,
    Header,
    PlaybackEvent,
    PlaybackEventRecord,
    PowerEvent,
    PowerEventRecord,
    Presence,
    Receipt,
    RemoteConfig,
    Report,
    Result,
    ResultState,
    RunReceipt,
    Sample,
    SettingsEvent,
    Status,
    UnknownEvent,
    VerdictEvent,
)

BIG = 2**53
id64 = st.integers(1, 2**63 - 1)
boot = st.integers(1, 2**32 - 1)
count = st.integers(0, BIG)
millis = st.integers(-BIG, BIG)
small = st.integers(0, 2**31)
key = st.text(st.characters(exclude_categories=["Cs"]), max_size=64)
short_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
scalar = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | key
value = st.integers(-BIG, BIG) | st.integers(-3, 200)
series_key = st.tuples(st.integers(1, 0xFFFF) | st.integers(1, 46), st.sampled_from(["", "/", "ipv4/dns"]) | key)

evidence_item = st.builds(
    EvidenceItem, path=key, rung=small, state=small, reason=small, method=small, rtt_ms=st.none() | small, target=key, label=key
)
verdict_event = st.builds(
    VerdictEvent,
    state=small,
    rung=small,
    kind=key,
    party=key,
    grade=key,
    reason=small,
    path=key,
    before_state=small,
    before_rung=small,
    evidence=st.lists(evidence_item, max_size=3),
)
playback_event = st.builds(
    PlaybackEventRecord,
    what=st.sampled_from(PlaybackEvent),
    player=key,
    stream=key,
    code=key,
    text=short_text,
    duration_ms=count,
)
power_event = st.builds(
    PowerEventRecord,
    what=st.sampled_from(PowerEvent),
    reason=key,
    run=st.just(0) | id64,
    last_wall_ms=millis,
    last_boottime_ms=millis,
    amount_ms=millis,
)
settings_event = st.builds(SettingsEvent, name=key, before=short_text, after=short_text)
button_event = st.builds(ButtonEvent, button=key, code=key)
_further = st.recursive(scalar, lambda some: st.lists(some, max_size=3) | st.dictionaries(key, some, max_size=3), max_leaves=5)
unknown_event = st.builds(
    lambda tag, rest: UnknownEvent(tag, msgspec.msgpack.encode([tag, *rest])),
    st.integers(6, 2**31),
    st.lists(_further, max_size=4),
)
event = verdict_event | playback_event | power_event | settings_event | button_event | unknown_event


@st.composite
def samples(draw: st.DrawFn, first: int) -> tuple[Sample, ...]:
    """Samples from sequence number ``first`` on, with gaps in their series and jumps of both clocks."""
    keys = draw(st.lists(series_key, max_size=6, unique=True))
    taken = []
    boottime_ms, wall_offset_ms = draw(st.integers(0, 2**50)), draw(st.integers(-(2**50), 2**50))
    for at in range(draw(st.integers(0, 6))):
        boottime_ms = max(0, boottime_ms + draw(st.just(60_000) | st.integers(-(2**40), 2**40)))
        wall_offset_ms += draw(st.just(0) | st.integers(-(2**40), 2**40))
        taken.append(
            Sample(
                sequence=first + at,
                wall_ms=boottime_ms + wall_offset_ms,
                boottime_ms=boottime_ms,
                values={k: draw(value) for k in keys if draw(st.integers(0, 3))},
                events=tuple(draw(st.lists(event, max_size=2))),
                facts=draw(st.just({}) | st.dictionaries(key, scalar, max_size=3)),
            )
        )
    return tuple(taken)


@st.composite
def drops(draw: st.DrawFn) -> Drop:
    first = draw(st.integers(1, BIG))
    return Drop(run=draw(id64), first=first, last=draw(st.integers(first, BIG)), reason=draw(small))


@st.composite
def reports(draw: st.DrawFn) -> Report:
    first = draw(st.integers(1, BIG - 10))
    held = draw(samples(first))
    own_boot = draw(boot)
    sent_boottime_ms = draw(st.integers(0, 2**50))
    return Report(
        header=Header(
            site_check=draw(st.integers(0, 2**32 - 1)),
            run=draw(id64),
            connection=draw(count),
            number=draw(count),
            backlog=draw(st.booleans()),
            wants_receipt=draw(st.booleans()),
            first=first,
            count=len(held),
            oldest=draw(st.integers(1, BIG)),
            config_revision=draw(count),
        ),
        boot=own_boot,
        sent_boot=draw(st.just(own_boot) | boot),
        sent_wall_ms=sent_boottime_ms + draw(st.integers(-(2**50), 2**50)),
        sent_boottime_ms=sent_boottime_ms,
        next_within_s=draw(st.integers(0, 7 * 86400)),
        clock=draw(st.none() | st.builds(Clock, offset_ms=st.integers(-(2**50), 2**50), error_ms=count)),
        samples=held,
        drops=tuple(draw(st.lists(drops(), max_size=3))),
    )


statuses = st.builds(
    Status,
    version=st.just(WIRE_VERSION),
    presence=st.sampled_from(Presence),
    run=id64,
    connection=count,
    reason=key,
    sent_wall_ms=millis,
)
_run_receipts = st.builds(RunReceipt, run=id64, through=count, ranges=st.lists(st.tuples(count, count), max_size=16))
receipts = st.builds(
    Receipt,
    version=st.just(WIRE_VERSION),
    epoch=id64,
    run=st.just(0) | id64,
    number=count,
    server_time_ms=count,
    runs=st.lists(_run_receipts, max_size=4),
    complete=st.booleans(),
    refused=st.lists(st.tuples(st.just(0) | id64, count), max_size=4),
    config_revision=count,
    tickets=st.lists(key, max_size=4),
)
configs = st.builds(
    RemoteConfig,
    version=st.just(WIRE_VERSION),
    revision=count,
    issued_ms=count,
    settings=st.dictionaries(key, scalar | st.lists(scalar, max_size=3), max_size=4),
)
commands = st.builds(
    Command,
    version=st.just(WIRE_VERSION),
    id=key,
    name=st.sampled_from(CommandName),
    issued_ms=count,
    expires_ms=count,
    arguments=st.dictionaries(key, scalar, max_size=4),
)
results = st.builds(
    Result,
    version=st.just(WIRE_VERSION),
    id=key,
    name=st.sampled_from(CommandName),
    state=st.sampled_from(ResultState),
    finished_wall_ms=millis,
    values=st.dictionaries(key, scalar, max_size=4),
    text=short_text,
)


def typical_report(number_of_samples: int = 5, **changes: Any) -> Report:
    """A report as an agent sends it: one sample a minute, a few series with gaps, an event, facts."""
    started_wall_ms, started_boottime_ms = 1_800_000_000_000, 7_200_000
    taken = tuple(
        Sample(
            sequence=101 + at,
            wall_ms=started_wall_ms + 60_000 * at,
            boottime_ms=started_boottime_ms + 60_000 * at,
            values={(1, "ipv4/dns"): 0, (3, "ipv4/dns"): 132 + at % 3, (22, "/"): 48_000 - at}
            | ({} if at % 4 == 1 else {(20, ""): 87 + at}),
            events=(VerdictEvent(state=2, rung=5, kind="line_down", party="telecom", grade="proven"),) if at == 2 else (),
            facts={"os": "Debian 13", "memory_mib": 3911} if at == 0 else {},
        )
        for at in range(number_of_samples)
    )
    last_ms = 60_000 * number_of_samples
    report = Report(
        header=Header(
            site_check=3_141_592_653,
            run=0x1234_5678_9ABC_DEF0,
            connection=7,
            number=42,
            backlog=False,
            wants_receipt=True,
            first=101,
            count=number_of_samples,
            oldest=3,
            config_revision=2,
        ),
        boot=0xCAFE_F00D,
        sent_boot=0xCAFE_F00D,
        sent_wall_ms=started_wall_ms + last_ms,
        sent_boottime_ms=started_boottime_ms + last_ms,
        next_within_s=330,
        clock=Clock(offset_ms=started_wall_ms - started_boottime_ms + 250, error_ms=40),
        samples=taken,
        drops=(Drop(run=0x0123_4567_89AB_CDEF, first=5, last=9, reason=2),),
    )
    return replace(report, **changes)
