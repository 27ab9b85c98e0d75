"""A simulated county for the demo: sixty sites that speak the real protocol to a real broker, and what befalls them."""

from sitekeeper_collector.demo.county.driver import County, CountyError, Done, Figures, Spell
from sitekeeper_collector.demo.county.plan import Cast, Class, cast, plan_classes, plan_sites, sites_csv
from sitekeeper_collector.demo.county.script import Step, plan_script
from sitekeeper_collector.simulate.conditions import NAMES, Condition
from sitekeeper_collector.simulate.pace import Pace

__all__ = [
    "NAMES",
    "Cast",
    "Class",
    "Condition",
    "County",
    "CountyError",
    "Done",
    "Figures",
    "Pace",
    "Spell",
    "Step",
    "cast",
    "plan_classes",
    "plan_script",
    "plan_sites",
    "sites_csv",
]
