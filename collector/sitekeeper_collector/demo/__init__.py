"""The one-command start: broker, collector and the agent of this machine, shown live. Run by ``make demo``."""
