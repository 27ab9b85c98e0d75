"""Watching over the sites: what their samples and their silence come to, which tickets that makes, and when."""
