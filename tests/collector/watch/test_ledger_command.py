"""``sitekeeper-collector ledger``: the picture of a site's time, its sums, and the check against the stored reports."""

import json
from pathlib import Path

import pytest

from sitekeeper_collector import app, cli
from sitekeeper_collector.cli_common import load_settings, opened
from support.played import HOUR_MS, MINUTE_MS, PORTAL_DOWN, Pc, watched, well

SITE = "v1"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A site that worked for ten minutes of the last hour, and whose portal then failed for as long."""
    now_ms = app.wall_ms()
    with watched(tmp_path, SITE) as county:
        county.at.now_ms = now_ms - HOUR_MS
        pc = Pc(SITE, 11, county.now_ms - HOUR_MS)
        county.live(10, well(), pc)
        county.live(10, PORTAL_DOWN, pc)
        county.live(1, well(), pc)
    file = tmp_path / "collector.yaml"
    file.write_text(f"database: sqlite:///{tmp_path}/sitekeeper.db\n")
    return file


def test_the_picture_is_a_table_with_sums_that_add_up(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ledger", SITE, "--days", "1", "--config", str(config)]) == 0
    text = capsys.readouterr().out
    segments, sums = text.strip().split("\n\n")
    assert [line.split()[5] for line in segments.splitlines()[1:]] == ["unknown", "up", "platform", "unknown"]
    told = {line.split()[0]: line.split()[1] for line in sums.splitlines()[1:]}
    assert (told["up"], told["platform"], told["all"]) == ("0:10:00", "0:10:00", "24:00:00")


def test_json_has_the_same_and_its_parts_cover_the_whole(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ledger", SITE, "--days", "1", "--json", "--check", "--config", str(config)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["differences"] == [] and told["site"] == SITE
    assert told["sums_ms"]["platform"] == 10 * MINUTE_MS
    assert sum(told["sums_ms"].values()) == sum(s["to_ms"] - s["from_ms"] for s in told["segments"]) == 24 * HOUR_MS
    assert {"was": "platform", "kind": "portal_down", "party": "technician", "source": "site"}.items() <= next(
        segment for segment in told["segments"] if segment["was"] == "platform"
    ).items()


def test_a_record_that_differs_from_the_stored_reports_is_told(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ledger", SITE, "--check", "--config", str(config)]) == 0
    assert "the record is what the stored reports come to" in capsys.readouterr().out
    with opened(load_settings(config)) as store, store.write() as connection:
        connection.exec_driver_sql("UPDATE spans SET last = last + 1 WHERE state = 2")
    assert cli.main(["ledger", SITE, "--check", "--config", str(config)]) == 1
    told = capsys.readouterr().out
    assert (
        "missing in spans: Span(run=11, first=11, last=20" in told
        and "too much in spans: Span(run=11, first=11, last=21" in told
    )


def test_a_site_that_is_not_registered_is_told(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ledger", "v9", "--config", str(config)]) == 1
    assert "'v9' is not in the register" in capsys.readouterr().err
