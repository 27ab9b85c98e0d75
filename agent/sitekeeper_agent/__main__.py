"""``python -m sitekeeper_agent``."""

import sys

from sitekeeper_agent.cli import main

sys.exit(main())
