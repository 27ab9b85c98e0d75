"""Contacts of a site: ``name phone mail``, several people apart by ``;``."""

import re
import unicodedata
from collections.abc import Iterable

from sitekeeper_collector.registry.entry import Contact, FieldProblem

RIGHT = "write 'name phone mail', with ';' between people, e.g. '王芳 13800001111 wang@example.cn; 李强 0371-5550101'"
MOST = 10
_MAIL = re.compile(r"[^@\s,;<>\"']{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_PHONE = re.compile(r"\+?[0-9][0-9()-]{4,19}(?:[*#xX][0-9]{1,6})?")
_SCIENTIFIC = re.compile(r"[0-9](\.[0-9]+)?[eE]\+[0-9]+")


def parse(text: str) -> tuple[Contact, ...]:
    """The people of ``text``. Raises ``FieldProblem``."""
    people = [_one(part.strip()) for part in re.split(r"[;；\n]", text) if part.strip()]
    if len(people) > MOST:
        raise FieldProblem(f"{len(people)} people", f"at most {MOST} people for a site")
    return tuple(people)


def render(contacts: Iterable[Contact]) -> str:
    """One line of text that ``parse`` reads back."""
    return "; ".join(" ".join(part for part in (c.name, c.phone, c.mail) if part) for c in contacts)


def _one(text: str) -> Contact:
    names: list[str] = []
    phone = mail = ""
    for raw in re.split(r"[\s,，、/]+", text):
        word = unicodedata.normalize("NFKC", raw)
        if not word:
            continue
        if _SCIENTIFIC.fullmatch(word):
            raise FieldProblem(
                f"{word!r}: a spreadsheet has rounded this phone number", "format the column as text, type it again"
            )
        if _MAIL.fullmatch(word):
            mail = _only("mail address", mail, word)
        elif _PHONE.fullmatch(word):
            phone = _only("phone number", phone, word)
        elif phone or mail:
            raise FieldProblem(f"{word!r} stands behind a phone number or mail address", RIGHT)
        elif "@" in word or word.isdecimal():
            raise FieldProblem(f"{word!r} is neither a phone number nor a mail address", RIGHT)
        else:
            names.append(raw)
    if not phone and not mail:
        raise FieldProblem(f"{text!r} has neither phone number nor mail address", RIGHT)
    return Contact(name=" ".join(names), phone=phone, mail=mail)


def _only(what: str, before: str, word: str) -> str:
    if before:
        raise FieldProblem(f"{word!r} is a second {what} for one person", RIGHT)
    return word
