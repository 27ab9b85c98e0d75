"""Where things are by default on this operating system; imports nothing, so that --help can show it."""

import os
import sys

CONFIG_FILE = (
    os.path.join(os.environ.get("PROGRAMDATA", r"C:\\ProgramData"), "Sitekeeper", "agent.yaml")  # noqa: PTH118 - no import
    if sys.platform == "win32"
    else "/etc/sitekeeper-agent/agent.yaml"
)
