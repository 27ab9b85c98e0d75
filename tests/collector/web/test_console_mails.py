"""The mails that the embedded start catches, at the console: listed, readable, and unable to do anything in a browser."""

import re
import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import NamedTuple

import pytest

from sitekeeper_collector.embedded.mail_catcher import MailCatcher
from support.console_stage import HOSTILE, Stage, console_stage


class Post(NamedTuple):
    """A console that shows what a mail server has caught."""

    stage: Stage
    catcher: MailCatcher

    def send(self, content: bytes, to: str = "noc@carrier.example") -> int:
        """Send a mail; its number."""
        with smtplib.SMTP("127.0.0.1", self.catcher.port, timeout=30) as server:
            server.sendmail("sitekeeper@county.example", [to], content)
        return self.catcher.messages()[-1].number


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    catcher = MailCatcher()
    catcher.start()
    with console_stage(tmp_path, catcher=catcher) as stage:
        yield Post(stage, catcher)
    catcher.stop()


def mail(subject: str, number: int = 0, html: str = "<p>line <b>down</b></p>") -> bytes:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = subject, "sitekeeper@county.example", "noc@carrier.example"
    message["Message-ID"] = f"<t.{number}@county.example>"
    if number:
        message["In-Reply-To"] = message["References"] = f"<t.{number - 1}@county.example>"
    message.set_content("线路中断，请处理")
    message.add_alternative(html, subtype="html")
    return message.as_bytes()


def test_caught_mails_are_listed_and_read_with_their_thread(post: Post) -> None:
    first, second = post.send(mail("line down")), post.send(mail("Re: line down", 1))
    listed = post.stage.get("/mails").text
    assert listed.index(f"/mails/{second}") < listed.index(f"/mails/{first}"), "the newest first"
    page = post.stage.get(f"/mails/{second}").text
    assert "Re: line down" in page and "线路中断，请处理" in page and "&lt;t.1@county.example&gt;" in page
    assert f'<a href="/mails/{first}">the mail before</a>' in page
    assert "<b>down</b>" in post.stage.get(f"/mails/{second}/body").text


def test_a_mail_has_a_policy_of_its_own_and_no_permission(post: Post) -> None:
    number = post.send(mail("x", html=f"<p>{HOSTILE}</p>"))
    page, body = post.stage.get(f"/mails/{number}"), post.stage.get(f"/mails/{number}/body")
    assert re.search(rf'<iframe src="/mails/{number}/body" sandbox title', page.text)
    assert HOSTILE not in page.text and HOSTILE in body.text
    policy = body.headers["content-security-policy"]
    assert (
        policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'; sandbox"
    )
    assert "default-src 'self'" in page.headers["content-security-policy"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00 no header at all",
        b"Subject: " + HOSTILE.encode() + b"\n\n" + HOSTILE.encode(),
        b"Subject: =?utf-9?Q?x?=\nContent-Type: text/html; charset=klingon\n\n<p>x</p>",
        b"To: <<<@@>>>, ,;:\nFrom: =?\nDate: never\nMessage-ID: <[\nReferences: \x01\n\nx",
        b"Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: multipart/alternative; boundary=x\n\n--x--",
        b"Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\n%%%%",
        b"Content-Type: message/rfc822\n\nSubject: inner\n\nx",
    ],
)
def test_a_broken_or_hostile_mail_breaks_no_page(post: Post, content: bytes) -> None:
    number = post.send(content)
    for path in ("/mails", f"/mails/{number}"):
        page = post.stage.get(path)
        assert page.status == 200 and "<script>alert" not in page.text, path
    assert post.stage.get(f"/mails/{number}/body").status == 200


def test_a_mail_that_is_not_there_is_not_found(post: Post) -> None:
    assert [post.stage.get(path).status for path in ("/mails/7", "/mails/7/body", "/mails/x")] == [404, 404, 404]


def test_an_empty_box_says_so_and_is_in_the_navigation(post: Post) -> None:
    assert "No mail has come yet." in post.stage.get("/mails").text
    assert 'href="/mails"' in post.stage.get("/").text


def test_where_mails_really_go_out_there_is_no_such_page(tmp_path: Path) -> None:
    with console_stage(tmp_path) as stage:
        assert [stage.get(path).status for path in ("/mails", "/mails/1", "/mails/1/body")] == [404, 404, 404]
        assert 'href="/mails"' not in stage.get("/").text
