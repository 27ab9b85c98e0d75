"""The parts of the series put together as configured."""

from collections.abc import Callable
from pathlib import Path

from sitekeeper_collector.config import Series, Settings
from sitekeeper_collector.series.endpoint import Endpoint
from sitekeeper_collector.series.feed import Feed
from sitekeeper_collector.series.health import Health, Work
from sitekeeper_collector.series.service import SeriesService
from sitekeeper_collector.series.spool import Limits
from sitekeeper_collector.store.engine import Store

_MIB = 1024 * 1024


def endpoint_of(series: Series) -> Endpoint:
    """The configured store's write endpoint. Raises ``EndpointError``."""
    secret = series.token_file if series.flavour == "influx2" else series.password_file
    return Endpoint(
        url=series.url,
        bucket=series.bucket,
        org=series.org,
        token_file=None if secret is None else Path(secret),
        username=series.username,
        ca_file=None if series.ca_file is None else Path(series.ca_file),
        timeout_s=series.timeout_s,
    )


def service_of(settings: Settings, store: Store, work: Work, *, gap_ms: int, wall_ms: Callable[[], int]) -> SeriesService:
    """What feeds the configured store. Raises ``EndpointError``."""
    series = settings.series
    amended = series.flavour != "victoria"
    feed = Feed(store, gap_ms=gap_ms, utc_offset_min=settings.utc_offset_min, amended=amended)
    limits = Limits(max_bytes=None if series.spool_max_mib is None else series.spool_max_mib * _MIB)
    return SeriesService(store, endpoint_of(series), feed, Health(work), limits, wall_ms=wall_ms)
