"""``python -m sitekeeper_collector.demo.county``: writes the register, plays the script, and says what was true."""

from pathlib import Path

import pytest

from sitekeeper_collector.demo.county import NAMES, Condition, cast, plan_script, plan_sites, sites_csv
from sitekeeper_collector.demo.county.__main__ import main
from sitekeeper_protocol.texts import Lang
from support.ports import free_port


def test_the_list_of_sites_is_written_for_the_import(tmp_path: Path) -> None:
    file = tmp_path / "sites.csv"
    assert main(["--write-sites", str(file), "--count", "30"]) == 0
    assert file.read_text(encoding="utf-8") == sites_csv(plan_sites(30))


def test_a_county_that_is_too_small_is_refused_with_what_would_be_right(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--count", "3", "--lang", "en"]) == 1
    assert "failed: a county of 3 sites; 20 to" in capsys.readouterr().out


def test_missing_passwords_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--folder", str(tmp_path), "--lang", "zh"]) == 1
    assert f"出错：{tmp_path}" in capsys.readouterr().out


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_script_is_played_and_the_truth_told_even_with_nobody_to_hear_it(
    lang: Lang, capsys: pytest.CaptureFixture[str]
) -> None:
    """No broker listens: the sites keep their samples and go on trying."""
    assert main(["--port", str(free_port()), "--count", "24", "--factor", "0.01", "--seconds", "2.5", "--lang", lang]) == 0
    said = capsys.readouterr().out
    for step in plan_script(plan_sites(24)):
        assert all(words in said for words in step.words(lang))
    still = [line for line in said.splitlines() if line.endswith(("仍未恢复", "still so"))]
    assert len(still) == 1
    assert cast(plan_sites(24)).wall in still[0]
    assert NAMES[Condition.SWITCHED_OFF][0 if lang == "zh" else 1] in still[0]
