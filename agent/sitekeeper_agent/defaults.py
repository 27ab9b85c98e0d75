"""Where things are by default on this operating system; imports nothing, so that --help can show it."""

import os
import sys

_DATA = os.environ.get("PROGRAMDATA", r"C:\ProgramData") + r"\Sitekeeper"

CONFIG_FILE = rf"{_DATA}\agent.yaml" if sys.platform == "win32" else "/etc/sitekeeper-agent/agent.yaml"
STATE_DIR = rf"{_DATA}\state" if sys.platform == "win32" else "/var/lib/sitekeeper-agent"
