"""A mail as a message: its place in a thread, its headers, and addresses that are none."""

import email
import email.policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from collector.notify.golden_mails import LINE_DOWN
from sitekeeper_collector.domain.tickets import NoticeEvent
from sitekeeper_collector.notify.mail import Envelope, MailError, compose, message_id, render, subject
from sitekeeper_collector.notify.view import MailView
from sitekeeper_protocol.vocabulary import Kind

FIRST = Envelope(
    sender="sk@county.example.cn",
    recipient="wang@telecom.example.cn",
    thread="SK-2026-000123/1",
    number=0,
    domain="county.example.cn",
    dated_ms=1_780_000_000_000,
)
LONG_DOMAIN = ".".join(("monitoring", "a" * 60, "b" * 60, "example", "cn"))
HEADERS = [
    "Message-ID", "Date", "From", "To", "Subject", "Auto-Submitted", "X-Auto-Response-Suppress", "MIME-Version",
    "Content-Type", "Content-Language",
]  # fmt: skip


def received(envelope: Envelope = FIRST, view: MailView = LINE_DOWN) -> EmailMessage:
    """A mail as its reader's program takes it from the wire."""
    message = email.message_from_bytes(compose(render(view, "zh"), envelope).as_bytes(), policy=email.policy.default)
    assert not message.defects
    return message


@pytest.mark.parametrize("domain", [FIRST.domain, LONG_DOMAIN])
def test_each_mail_names_the_first_and_the_one_before_it(domain: str) -> None:
    def ids(number: int) -> tuple[str, list[str], str]:
        mail = received(replace(FIRST, number=number, domain=domain))
        return str(mail["Message-ID"]), str(mail["References"] or "").split(), str(mail["In-Reply-To"] or "")

    first, second, third, fourth = (ids(number) for number in range(4))
    assert first[1:] == ([], "")
    assert second[1:] == ([first[0]], first[0])
    assert fourth[1:] == ([first[0], third[0]], third[0])
    assert len({first[0], second[0], third[0], fourth[0]}) == 4 and first[0] == message_id(FIRST.thread, 0, domain)


def test_a_long_identification_crosses_the_wire_in_plain_characters() -> None:
    wire = compose(render(LINE_DOWN, "zh"), replace(FIRST, number=3, domain=LONG_DOMAIN)).as_bytes()
    for number in (0, 2, 3):
        assert message_id(FIRST.thread, number, LONG_DOMAIN).encode() in wire
    assert max(len(line) for line in wire.split(b"\r\n")) < 998


def test_all_mails_of_a_thread_have_one_subject_whatever_the_kind_becomes() -> None:
    later = replace(LINE_DOWN, event=NoticeEvent.AMENDED, kind=Kind.MODEM_DOWN, subject_kind=Kind.LINE_DOWN, follows=True)
    assert subject(later, "zh") == f"Re: {subject(LINE_DOWN, 'zh')}"
    wider = replace(later, area="青山OLT-02", members=("甲村", "乙村"), subject_name=LINE_DOWN.site_name)
    assert subject(wider, "zh") == subject(later, "zh")


def test_a_mail_is_the_same_to_the_byte_whenever_it_is_put_together() -> None:
    assert compose(render(LINE_DOWN, "zh"), FIRST).as_bytes() == compose(render(LINE_DOWN, "zh"), FIRST).as_bytes()


def test_both_forms_arrive_as_they_were_written() -> None:
    rendered, mail = render(LINE_DOWN, "zh"), received()
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None and html is not None and mail["Subject"] == rendered.subject
    assert text.get_content().splitlines() == rendered.text.splitlines()
    assert html.get_content().splitlines() == rendered.html.splitlines()


@given(st.text(max_size=60))
def test_no_name_adds_a_header_or_a_recipient(text: str) -> None:
    name = f"a{text}\r\nBcc: evil@example.com\r\n\r\n<evil@example.com>, b"
    mail = received(replace(FIRST, sender_name=name), replace(LINE_DOWN, site_name=name, township=name, ticket=name))
    assert mail.keys() == HEADERS
    assert [address.addr_spec for address in mail["From"].addresses] == [FIRST.sender]
    assert [address.addr_spec for address in mail["To"].addresses] == [FIRST.recipient]


@pytest.mark.parametrize(
    "address",
    [
        "", "wang", "wang@", "@example.cn", "a b@example.cn", "a@b.cn\r\nBcc: c@d.cn", "a@b.cn, c@d.cn", "王@example.cn",
        "a@例.cn", ".a@b.cn", "a.@b.cn", "a..b@c.cn", "<a@b.cn>", "a@b_.cn", f"{'a' * 65}@b.cn", "a@b.cn\n",
    ],
)  # fmt: skip
def test_an_address_that_not_every_server_takes_is_refused(address: str) -> None:
    for field in ("sender", "recipient", "reply_to"):
        if address or field != "reply_to":
            with pytest.raises(MailError):
                compose(render(LINE_DOWN, "zh"), replace(FIRST, **{field: address}))


@pytest.mark.parametrize(
    ("thread", "number", "domain"),
    [
        ("SK-1", 0, "a.cn"), ("SK-1/1\n", 0, "a.cn"), ("SK 1/1", 0, "a.cn"), ("SK-1/1", -1, "a.cn"), ("<>/1", 0, "a.cn"),
        ("SK-1/1", 0, ""), ("SK-1/1", 0, "a..cn"), ("SK-1/1", 0, "a.cn>"), ("SK-1/1", 0, "例.cn"), ("SK-1/1", 0, "a" * 254),
    ],
)  # fmt: skip
def test_a_thread_or_domain_that_makes_no_identification_is_refused(thread: str, number: int, domain: str) -> None:
    with pytest.raises(MailError):
        message_id(thread, number, domain)
