"""Sitekeeper's Grafana dashboards as code: built, rendered to JSON, published."""
