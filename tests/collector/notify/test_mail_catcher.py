"""The mail catcher of the one-command start: it takes what is sent, keeps the newest, and goes when it is told to."""

import smtplib
import socket
import threading
from collections.abc import Iterator
from email.message import EmailMessage

import pytest

from collector.notify.golden_mails import LINE_DOWN
from sitekeeper_collector.embedded.mail_catcher import HOST, MailCatcher, MailCatcherError
from sitekeeper_collector.notify import smtp
from sitekeeper_collector.notify.mail import Envelope, compose, render
from sitekeeper_collector.notify.smtp import Encryption, Refused, Sent, SmtpSettings


@pytest.fixture
def catcher() -> Iterator[MailCatcher]:
    running = MailCatcher(most_mails=5, most_bytes=200_000)
    running.start()
    yield running
    running.stop()


def settings(catcher: MailCatcher) -> SmtpSettings:
    return SmtpSettings(host=HOST, port=catcher.port, encryption=Encryption.NONE, hello_name="test")


def is_running(catcher: MailCatcher) -> bool:
    return catcher.running


def mail(number: int = 0) -> EmailMessage:
    envelope = Envelope(
        sender="sk@county.example.cn",
        recipient="wang@telecom.example.cn",
        thread="SK-2026-000123/1",
        number=number,
        domain="county.example.cn",
        dated_ms=1_780_000_000_000,
    )
    return compose(render(LINE_DOWN, "zh"), envelope)


def test_a_mail_is_kept_as_it_came(catcher: MailCatcher) -> None:
    assert smtp.send(settings(catcher), mail()) == Sent()
    (caught,) = catcher.messages()
    assert (caught.number, caught.sender, caught.recipients) == (1, "sk@county.example.cn", ("wang@telecom.example.cn",))
    assert caught.content == mail().as_bytes() and caught.caught_ms > 1_700_000_000_000


def test_only_the_newest_are_kept(catcher: MailCatcher) -> None:
    for number in range(7):
        assert smtp.send(settings(catcher), mail(number)) == Sent()
    assert [caught.number for caught in catcher.messages()] == [3, 4, 5, 6, 7]


def _plain(size: int) -> bytes:
    return b"Subject: large\r\n\r\n" + (b"x" * 98 + b"\r\n") * (size // 100)


def test_large_mails_push_out_more_and_a_huge_one_is_refused(catcher: MailCatcher) -> None:
    with smtplib.SMTP(HOST, catcher.port, "test", timeout=10) as client:
        for _ in range(4):
            client.sendmail("a@b.cn", ["c@d.cn"], _plain(80_000))
        with pytest.raises(smtplib.SMTPException):
            client.sendmail("a@b.cn", ["c@d.cn"], _plain(120_000))
    kept = catcher.messages()
    assert [caught.number for caught in kept] == [3, 4] and sum(len(caught.content) for caught in kept) <= 200_000


def test_a_mail_that_is_too_large_is_refused_for_good(catcher: MailCatcher) -> None:
    huge = mail()
    huge.add_attachment("x" * 120_000)
    assert isinstance(smtp.send(settings(catcher), huge), Refused) and catcher.messages() == ()


def test_it_stops_amid_a_conversation_and_starts_again_at_the_same_port(catcher: MailCatcher) -> None:
    assert smtp.send(settings(catcher), mail()) == Sent()
    port = catcher.port
    with socket.create_connection((HOST, port), timeout=10) as caller:
        assert caller.recv(100).startswith(b"220 ")
        catcher.stop()
        assert is_running(catcher) is False and caller.recv(100) == b""
    catcher.stop()
    catcher.start()
    catcher.start()
    assert is_running(catcher) and catcher.port == port and len(catcher.messages()) == 1
    assert smtp.send(settings(catcher), mail(1)) == Sent()
    assert [caught.number for caught in catcher.messages()] == [1, 2]


def test_a_port_that_is_taken_is_told(catcher: MailCatcher) -> None:
    second = MailCatcher(port=catcher.port)
    with pytest.raises(MailCatcherError, match=f"can't listen on {HOST}:{catcher.port}"):
        second.start()
    assert not second.running and catcher.running
    second.stop()


def test_nothing_of_it_is_left_after_a_stop() -> None:
    before = set(threading.enumerate())
    catcher = MailCatcher()
    catcher.start()
    catcher.stop()
    assert set(threading.enumerate()) == before


def test_no_mail_gets_lost_between_many_senders(catcher: MailCatcher) -> None:
    outcomes: list[smtp.Outcome] = []
    senders = [
        threading.Thread(target=lambda number=number: outcomes.append(smtp.send(settings(catcher), mail(number))))
        for number in range(5)
    ]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(20)
    assert outcomes == [Sent()] * 5
    assert sorted(c.content for c in catcher.messages()) == sorted(mail(number).as_bytes() for number in range(5))
