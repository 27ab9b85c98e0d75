"""The page for the person in front of the PC, on loopback: what is wrong, what to try, whom to call.

Only what listens is loaded at the start; the web server and what draws the page wait for the first visitor.
"""

from sitekeeper_agent.sitepage.board import Asked, Board, CheckAsked, RepairAsked, Seen
from sitekeeper_agent.sitepage.desk import Desk
from sitekeeper_agent.sitepage.door import Door, open_door

__all__ = ["Asked", "Board", "CheckAsked", "Desk", "Door", "RepairAsked", "Seen", "open_door"]
