"""The sample of rules says what holds without it, and each mistake is named with file and line."""

from pathlib import Path

import msgspec
import pytest
import yaml

from sitekeeper_collector import rules_file
from sitekeeper_collector.domain.rules import DETECTED, Rules
from sitekeeper_protocol.settings import SettingsError
from sitekeeper_protocol.vocabulary import KINDS, Kind, Party, Severity

SAMPLE = Path(__file__).parents[3] / "config" / "faults.yaml"
MISTAKES: list[dict[str, str]] = yaml.safe_load(Path(__file__).with_name("rules_mistakes.yaml").read_text())


def test_the_sample_is_the_defaults_and_names_every_key() -> None:
    assert rules_file.load(SAMPLE) == Rules() == rules_file.load(None)
    assert yaml.safe_load(SAMPLE.read_text()) == msgspec.to_builtins(Rules())


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: str(mistake["name"]))
def test_each_mistake_is_named_with_file_and_line(tmp_path: Path, mistake: dict[str, str]) -> None:
    file = tmp_path / "faults.yaml"
    file.write_text(mistake["text"])
    with pytest.raises(SettingsError) as refused:
        rules_file.load(file)
    assert str(refused.value).startswith(f"{file}:{mistake['says']}")


def test_the_rules_say_whose_job_it_is_then_the_evidence_then_the_catalogue(tmp_path: Path) -> None:
    file = tmp_path / "faults.yaml"
    file.write_text("kinds:\n  dns_failure: {party: site, severity: minor}\n")
    rules = rules_file.load(file)
    assert rules.party(Kind.DNS_FAILURE, Party.TELECOM) is Party.SITE
    assert rules.severity(Kind.DNS_FAILURE) is Severity.MINOR
    assert Rules().party(Kind.DNS_FAILURE, Party.TECHNICIAN) is Party.TECHNICIAN
    for kind in DETECTED:
        # An area's party depends on what its sites have in common.
        assert Rules().party(kind) is (KINDS[kind].party or Party.TECHNICIAN)
        assert Rules().severity(kind) is KINDS[kind].severity
