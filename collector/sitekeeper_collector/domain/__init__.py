"""Decisions, without I/O: each takes what is known, the evidence and the time, and gives a value with a named reason."""
