"""How this machine's network is meant to be set up: apart from the rest of ``platform``, because only one probe needs it."""

import sys

if sys.platform == "win32":
    from sitekeeper_agent.platform.windows_settings import configured, proxies
else:
    from sitekeeper_agent.platform.linux_settings import configured, proxies

__all__ = ["configured", "proxies"]
