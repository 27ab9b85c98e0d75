"""The dashboards: what is committed is what the code makes, all of it is said and fits, and asks for what there is."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from sitekeeper_collector.series import schema
from sitekeeper_dashboards import cli, grafana
from sitekeeper_dashboards.boards import boards
from sitekeeper_dashboards.model import SOURCE, WIDTH, Board, Options, Panel
from sitekeeper_dashboards.words import LANGUAGES, OF_FAULTS, WAS, Colour

ALL = [board for lang in LANGUAGES for board in boards(Options(lang=lang, use=True))]
PANELS = [pytest.param(board, panel, id=f"{board.key}-{panel.key}") for board in ALL[:7] for panel in board.panels()]


def test_what_is_committed_is_what_the_code_makes(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check"]) == 0, capsys.readouterr().out


def test_a_file_that_differs_or_is_missing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["build", "--folder", str(tmp_path)]) == 0
    assert capsys.readouterr().out.endswith("14 files changed\n")
    assert cli.main(["build", "--folder", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "0 files changed\n"
    (tmp_path / "sitekeeper-site-en.json").write_text("{}")
    (tmp_path / "sitekeeper-month-zh.json").unlink()
    assert cli.main(["check", "--folder", str(tmp_path)]) == 1
    told = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in told] == ["missing", "differs"]


@pytest.mark.parametrize("board", ALL, ids=lambda board: board.key)
def test_panels_stand_side_by_side_within_the_grid(board: Board) -> None:
    made = json.loads(grafana.text(board, Options(use=True)))
    flat = [*made["panels"], *(inner for panel in made["panels"] for inner in panel.get("panels") or [])]
    numbers = [panel["id"] for panel in flat]
    assert len(set(numbers)) == len(numbers)
    open_ones = [panel for panel in made["panels"] if not panel.get("collapsed")]
    taken: set[tuple[int, int]] = set()
    for panel in open_ones:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= WIDTH and not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("board", ALL, ids=lambda board: board.key)
def test_each_panel_says_what_it_shows_in_both_languages(board: Board) -> None:
    keys = [panel.key for panel in board.panels()]
    assert len(set(keys)) == len(keys)
    for panel in board.panels():
        assert panel.unit and panel.steps and panel.queries and all(query.columns for query in panel.queries), panel.key
        for zh, en in (panel.title, panel.description):
            assert zh and en and (re.search("[\u4e00-\u9fff]", zh) or zh == en), panel.key
            assert not re.search("[\u4e00-\u9fff]", en), panel.key


def test_being_off_or_unknown_never_looks_like_a_fault() -> None:
    for was in ("off", "power_lost", "presumed_off", "blind", "unknown", "line_suspected"):
        assert WAS[was][1] not in OF_FAULTS
    assert {WAS[was][1] for was in ("line", "gateway", "link", "platform")} <= {Colour.FAULT, Colour.TROUBLE}


def test_no_data_is_told_apart_from_zero() -> None:
    for board in ALL:
        made: dict[str, Any] = json.loads(grafana.text(board, Options(lang="en", use=True)))
        for panel in made["panels"]:
            if panel["type"] != "row":
                assert panel["fieldConfig"]["defaults"]["noValue"] == "no data", panel["title"]


@pytest.mark.parametrize(("board", "panel"), PANELS)
def test_queries_ask_for_measurements_and_fields_that_are_written(board: Board, panel: Panel) -> None:
    known = {one.name: one for one in schema.MEASUREMENTS}
    for query in panel.queries:
        names = set(re.findall(r'FROM "(\w+)"', query.text))
        # Of several measurements a store gives several answers, of which a panel would show the first.
        assert len(names) == 1 and names <= known.keys(), f"{board.key}/{panel.key}: {names}"
        written = {field.name for name in names for field in known[name].fields}
        written |= {tag for name in names for tag in known[name].tags}
        own = set(re.findall(r'AS "(\w+)"', query.text))
        quoted = set(re.findall(r'(?<!FROM )(?<!AS )"(\w+)"', query.text))
        assert quoted <= written | own, f"{board.key}/{panel.key}: {quoted - written - own}"


def test_provisioned_and_rendered_mean_the_same_data_source() -> None:
    folder = Path(__file__).parents[2] / "dashboards" / "provisioning"
    [source] = yaml.safe_load((folder / "datasource.yaml").read_text())["datasources"]
    assert (source["uid"], source["jsonData"]["version"], source["jsonData"]["dbName"]) == (SOURCE, "InfluxQL", "sitekeeper")
    [provider] = yaml.safe_load((folder / "dashboards.yaml").read_text())["providers"]
    assert provider["type"] == "file"
