"""What the mails look like, to the byte, in both languages and forms; a change is seen as a difference in these files."""

import pytest

from collector.notify.golden_mails import CASES, FOLDER, files
from sitekeeper_protocol.texts import LANGUAGES, Lang


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("name", CASES)
def test_a_mail_is_the_one_that_is_kept(name: str, lang: Lang) -> None:
    for file, content in files(name, lang).items():
        assert (FOLDER / file).read_bytes() == content.encode(), f"{file}: look at it, then run golden_mails.py"


def test_no_file_is_kept_of_a_case_that_is_gone() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {
        file for name in CASES for lang in LANGUAGES for file in files(name, lang)
    }
