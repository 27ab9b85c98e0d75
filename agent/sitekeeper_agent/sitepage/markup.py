"""HTML put together from elements, so that every text in it is escaped: a plain ``str`` always, only ``Html`` never."""

from html import escape


class Html(str):
    """Markup of our own making."""

    __slots__ = ()


_EMPTY = ("meta", "link", "input")


def element(name: str, /, *content: str | None, **attributes: str | int | None) -> Html:
    """An element; ``None`` leaves a part or an attribute out. ``class_`` is ``class``, and ``http_equiv`` has a hyphen."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"' for key, value in attributes.items() if value is not None
    )
    opened = f"<{name}{written}>"
    return Html(opened if name in _EMPTY else f"{opened}{joined(*content)}</{name}>")


def joined(*parts: str | None) -> Html:
    """Parts one after the other."""
    return Html("".join(part if isinstance(part, Html) else escape(part) for part in parts if part is not None))
