"""From the broker into the store: decoded, told apart from what was there, placed in time, committed, and receipted."""
