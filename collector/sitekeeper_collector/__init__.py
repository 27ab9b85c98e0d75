"""The collector: takes in what the agents report, stores it exactly once, and says so in receipts."""

__version__ = "0.1.0"
