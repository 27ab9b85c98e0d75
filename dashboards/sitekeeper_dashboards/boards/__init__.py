"""The dashboards, one module each."""

from sitekeeper_dashboards.boards import county, itself, lines, month, playback, site, tickets
from sitekeeper_dashboards.model import Board, Options


def boards(options: Options) -> tuple[Board, ...]:
    """All of them, in the order of the menu."""
    return (
        county.board(options),
        site.board(options),
        lines.board(options),
        playback.board(options),
        month.board(options),
        tickets.board(options),
        itself.board(options),
    )
