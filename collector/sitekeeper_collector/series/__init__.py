"""Time series for Grafana: what is written, how, and the spool that keeps it while the store is away."""
