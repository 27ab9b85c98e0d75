"""The agent on a site PC: measures, keeps every sample on disk, and reports it over whatever line there is."""

__version__ = "0.1.0"
