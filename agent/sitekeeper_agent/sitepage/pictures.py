"""The pictures of the page, drawn here as SVG: each rung of the ladder, and marks that tell a state without its colour."""

from sitekeeper_agent.sitepage.markup import Html
from sitekeeper_protocol.vocabulary import Rung, State

_DRAWN: dict[Rung, str] = {
    # A network plug with its cable.
    Rung.LINK: '<path d="M18 6h28v22H18z"/><path d="M23 6v8M29 6v8M35 6v8M41 6v8"/><path d="M25 28v8h14v-8M32 36v22"/>',
    # A PC with a number plate.
    Rung.ADDRESS: '<path d="M6 8h52v34H6z"/><path d="M32 42v10M20 54h24"/><path d="M16 25h4M26 25h4M36 25h4M46 25h2"/>',
    # A router with two aerials.
    Rung.GATEWAY: '<path d="M6 36h52v18H6zM15 36L11 10M49 36l4-26"/><path d="M14 45h4M24 45h4M34 45h16"/>',
    # A modem standing, with its lights and the fibre.
    Rung.MODEM: '<path d="M14 6h26v52H14z"/><path d="M22 16h1M22 25h1M22 34h1M30 16h3M30 25h3M30 34h3"/>'
    '<path d="M40 48c12 0 14-6 18-16"/>',
    # Poles with the line between them.
    Rung.ISP: '<path d="M12 6v52M52 6v52M4 14h16M44 14h16"/><path d="M6 14c8 14 30 14 40 0M18 14c8 14 30 14 40 0"/>',
    # An address book.
    Rung.DNS: '<path d="M14 6h40v52H14z"/><path d="M8 16h10M8 32h10M8 48h10M28 20h18M28 32h18M28 44h12"/>',
    # A schoolhouse with its flag.
    Rung.PORTAL: '<path d="M32 18L6 34h52zM12 34v24h40V34M28 58V44h8v14"/><path d="M32 18V4h12v7H32"/>',
    # A screen that plays.
    Rung.MEDIA: '<path d="M6 8h52v38H6zM20 56h24"/><path class="full" d="M26 17l18 10-18 10z"/>',
}

_MARKS: dict[State, str] = {
    State.OK: '<path d="M16 33l11 12 21-26"/>',
    State.FAIL: '<path d="M19 19l26 26M45 19L19 45"/>',
    State.DEGRADED: '<path d="M32 14v22M32 47v2"/>',
    State.SILENT: '<path d="M22 24c0-14 20-14 20 0 0 8-10 8-10 16M32 49v2"/>',
}


def rung(rung: Rung) -> Html:
    """A rung, 64 by 64."""
    return Html(f'<svg class="picture" viewBox="0 0 64 64" width="72" height="72" aria-hidden="true">{_DRAWN[rung]}</svg>')


def mark(state: State, size: int) -> Html:
    """A tick, a cross, an exclamation mark or a question mark in a disc, ``size`` pixels wide."""
    drawn = _MARKS.get(state, _MARKS[State.SILENT])
    return Html(
        f'<svg class="mark" viewBox="0 0 64 64" width="{size}" height="{size}" aria-hidden="true">'
        f'<circle cx="32" cy="32" r="30"/>{drawn}</svg>'
    )


def waiting(size: int) -> Html:
    """A clock."""
    return Html(
        f'<svg class="mark" viewBox="0 0 64 64" width="{size}" height="{size}" aria-hidden="true">'
        '<circle cx="32" cy="32" r="30"/><path d="M32 14v18l12 8"/></svg>'
    )
