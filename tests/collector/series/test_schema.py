"""The schema is what its document says, and holds what makes it age well."""

from pathlib import Path

from sitekeeper_collector.series import schema
from sitekeeper_protocol.vocabulary import METRICS

DOCUMENT = Path(__file__).parents[3] / "docs/series.md"


def test_the_document_is_made_from_the_schema() -> None:
    assert DOCUMENT.read_text("utf-8") == schema.document(), "make it anew: python -m sitekeeper_collector.series.schema"


def test_every_metric_has_one_place_and_no_two_share_one() -> None:
    assert set(schema.PLACES) == {int(metric) for metric in METRICS}
    assert len({(place.measurement.name, place.field) for place in schema.PLACES.values()}) == len(METRICS)


def test_points_that_may_be_amended_have_the_site_as_their_only_tag_and_can_be_void() -> None:
    amended = [measurement for measurement in schema.MEASUREMENTS if measurement.amended]
    assert {measurement.name for measurement in amended} == {"ledger", "fault", "ticket"}
    for measurement in amended:
        assert measurement.tags == ("site",)
        assert measurement.forms()["void"] is schema.Form.BOOLEAN


def test_what_is_not_amended_is_numeric_so_that_every_store_can_keep_it() -> None:
    for measurement in schema.MEASUREMENTS:
        if not measurement.amended:
            assert set(measurement.forms().values()) == {schema.Form.FLOAT}


def test_tags_are_known_and_written_by_name_and_no_field_is_named_like_a_tag_of_its_measurement() -> None:
    for measurement in schema.MEASUREMENTS:
        assert set(measurement.tags) <= set(schema.TAGS)
        assert list(measurement.tags) == sorted(measurement.tags)
        assert not set(measurement.tags) & set(measurement.forms())
        assert len(measurement.forms()) == len(measurement.fields)
