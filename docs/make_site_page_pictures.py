"""Makes the pictures of the site's page in docs/pictures: the real page over what an agent may see, in a real Chromium."""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from sitekeeper_agent.sitepage import Board
from sitekeeper_protocol.vocabulary import Kind, Party, Rung
from support.browser import chromium
from support.site_page import failing, page

OUT = Path(__file__).parent / "pictures"
WIDTH, HEIGHT = 1024, 768


def main() -> None:
    """Draw both pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT, help="folder for the pictures (default: %(default)s)")
    out = parser.parse_args().out
    board = Board()
    with tempfile.TemporaryDirectory() as folder, page(board) as shown, chromium(Path(folder), "zh-CN") as browser:
        browser.resize(WIDTH, HEIGHT)
        board.seen = failing(Rung.ISP, Kind.LINE_DOWN, Party.TELECOM, minutes=25)
        browser.open(f"{shown.address}/?lang=zh")
        browser.picture(out / "site-page-zh.png")
        board.seen = failing(Rung.LINK, Kind.LINK_DOWN, Party.SITE, minutes=4)
        browser.open(f"{shown.address}/?lang=en&step=2")
        browser.picture(out / "site-page-en.png")


if __name__ == "__main__":
    main()
