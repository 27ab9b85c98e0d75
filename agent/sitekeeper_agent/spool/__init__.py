"""The spool: every sample is on disk before it is sent, and stays there until the county has confirmed it."""

from sitekeeper_agent.spool.disk import Disk, Limits, SpoolDamaged, SpoolUnwritable
from sitekeeper_agent.spool.spool import Holding, Spool, SpoolStats

__all__ = ["Disk", "Holding", "Limits", "Spool", "SpoolDamaged", "SpoolStats", "SpoolUnwritable"]
