"""Differences between operating systems, and nothing else: one module each, with the same functions."""

import sys

from sitekeeper_agent.platform.facts import (
    HERE,
    Family,
    InterfaceAddress,
    Link,
    Neighbour,
    PlatformUnsupported,
    Resolvers,
    Roots,
    Route,
)

if sys.platform == "win32":
    from sitekeeper_agent.platform.windows import (
        awake_ms,
        boot_id,
        boottime_ms,
        default_route,
        hosts_file,
        interface_addresses,
        interface_link,
        interface_macs,
        interfaces,
        neighbour,
        os_name,
        resolvers,
        system_going_down,
        system_volume,
        wall_ms,
    )
else:
    from sitekeeper_agent.platform.linux import (
        awake_ms,
        boot_id,
        boottime_ms,
        default_route,
        hosts_file,
        interface_addresses,
        interface_link,
        interface_macs,
        interfaces,
        neighbour,
        os_name,
        resolvers,
        system_going_down,
        system_volume,
        wall_ms,
    )

__all__ = [
    "HERE",
    "Family",
    "InterfaceAddress",
    "Link",
    "Neighbour",
    "PlatformUnsupported",
    "Resolvers",
    "Roots",
    "Route",
    "awake_ms",
    "boot_id",
    "boottime_ms",
    "default_route",
    "hosts_file",
    "interface_addresses",
    "interface_link",
    "interface_macs",
    "interfaces",
    "neighbour",
    "os_name",
    "resolvers",
    "system_going_down",
    "system_volume",
    "wall_ms",
]
