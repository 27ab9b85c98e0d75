"""The equipment of this machine: apart from the rest of ``platform``, because only one probe needs it."""

import sys

from sitekeeper_agent.platform.equipment_facts import Disk, Display, Passed

if sys.platform == "win32":
    from sitekeeper_agent.platform.windows_equipment import (
        booted_with_systemd,
        cooling,
        cpu_limit_ratio,
        disk_errors,
        disks,
        displays,
        read_only,
        running,
        service_running,
        sound_cards,
        sound_outputs,
        throttle_counts,
        usb_ids,
    )
else:
    from sitekeeper_agent.platform.linux_disks import disk_errors, disks, read_only
    from sitekeeper_agent.platform.linux_equipment import (
        cooling,
        cpu_limit_ratio,
        displays,
        sound_cards,
        sound_outputs,
        throttle_counts,
        usb_ids,
    )
    from sitekeeper_agent.platform.linux_programs import booted_with_systemd, running, service_running

__all__ = [
    "Disk",
    "Display",
    "Passed",
    "booted_with_systemd",
    "cooling",
    "cpu_limit_ratio",
    "disk_errors",
    "disks",
    "displays",
    "read_only",
    "running",
    "service_running",
    "sound_cards",
    "sound_outputs",
    "throttle_counts",
    "usb_ids",
]
