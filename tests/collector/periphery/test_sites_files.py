"""Lists of sites as offices write them: every case is a folder with the file and what becomes of it."""

import csv
import io
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitekeeper_collector.registry import contacts, files, hours
from sitekeeper_collector.registry.entry import Contact, SiteEntry

CASES = sorted(p.parent for p in (Path(__file__).parent / "sites_cases").glob("*/input.csv"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_file_gives_exactly_the_expected_entries_problems_and_notes(case: Path) -> None:
    parsed = files.parse((case / "input.csv").read_bytes())
    expected = msgspec.json.decode((case / "expected.json").read_bytes(), type=files.Parsed)
    assert parsed == expected


def test_there_are_cases() -> None:
    assert len(CASES) >= 15


@given(st.binary(max_size=400))
def test_no_bytes_make_the_parser_raise(data: bytes) -> None:
    parsed = files.parse(data)
    assert parsed.sites or parsed.problems


_HEADER = ",".join(["id", "name", "hours", "contacts", "profile", "account"]) + "\n"


@given(st.text(max_size=300))
def test_no_text_below_good_titles_makes_the_parser_raise(text: str) -> None:
    parsed = files.parse((_HEADER + text).encode("utf-8", "surrogatepass"))
    assert parsed.sites or parsed.problems


_SPANS = st.tuples(st.integers(0, 95), st.integers(1, 96)).filter(lambda span: span[0] < span[1])
_WEEKS = st.lists(st.lists(_SPANS, max_size=3), min_size=7, max_size=7)


@given(_WEEKS)
def test_hours_in_normal_form_read_back_as_the_same_week(quarters: list[list[tuple[int, int]]]) -> None:
    text = "; ".join(
        f"{hours.NAMES[day]} {start // 4:02d}:{start % 4 * 15:02d}-{end // 4:02d}:{end % 4 * 15:02d}"
        for day, spans in enumerate(quarters)
        for start, end in spans
    )
    week = hours.parse(text)
    assert hours.parse(hours.render(week)) == week
    for day, spans in enumerate(quarters):
        for start, end in spans:
            assert any(a <= start * 15 and end * 15 <= b for a, b in week[day])


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("", ""),
        ("Mon-Fri 09:00-17:00; Sat 09:00-12:00", "Mon-Fri 09:00-17:00; Sat 09:00-12:00"),
        ("周一-周五 9:00-17:00", "Mon-Fri 09:00-17:00"),
        ("周一至周五 9:00至17:00；周六 9：00－12：00", "Mon-Fri 09:00-17:00; Sat 09:00-12:00"),
        ("周一至五 09:00~11:30, 14:00~17:00", "Mon-Fri 09:00-11:30, 14:00-17:00"),
        ("周一、三、五 19:00-21:00", "Mon,Wed,Fri 19:00-21:00"),
        ("星期日 08:00-12:00", "Sun 08:00-12:00"),
        ("每天 00:00-24:00", "Mon-Sun 00:00-24:00"),
        ("工作日 09:00-17:00;周末 10:00-12:00", "Mon-Fri 09:00-17:00; Sat-Sun 10:00-12:00"),
        ("fri 22:00-02:00", "Fri 22:00-24:00; Sat 00:00-02:00"),
        ("Sat-Mon 10:00-11:00", "Mon,Sat-Sun 10:00-11:00"),
        ("Mon 09:00-10:00 10:00-11:00", "Mon 09:00-11:00"),
    ],
)
def test_hours_have_one_normal_form(text: str, normal: str) -> None:
    assert hours.normal(text) == normal


def test_contacts_read_back_from_their_normal_form() -> None:
    people = contacts.parse("王芳 13800001111 wang@example.cn；李 强　0371-5550101")
    assert people == (
        Contact(name="王芳", phone="13800001111", mail="wang@example.cn"),
        Contact(name="李 强", phone="0371-5550101"),
    )
    assert contacts.parse(contacts.render(people)) == people


def test_every_problem_is_told_with_file_line_column_value_and_what_would_be_right() -> None:
    parsed = files.parse("id,name\n1.5E+11,村\n".encode())
    (line,) = [files.describe("sites.csv", problem) for problem in parsed.problems]
    assert line.startswith("sites.csv:2: id: '1.5E+11': a spreadsheet has rounded") and "format the column as text" in line


@given(st.integers(1, 300))
def test_a_line_of_many_is_named_by_its_number_in_the_file(at: int) -> None:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["id", "name"])
    for row in range(2, 303):
        writer.writerow(["bad id" if row == at + 1 else f"s{row}", "two\nlines" if row % 2 == 0 and row < 3 else "n"])
    parsed = files.parse(out.getvalue().encode())
    # Line 2 holds a name of two lines, so that everything below it stands a line further down.
    assert [p.line for p in parsed.problems] == [at + 1 + (at > 1)]


def test_an_entry_has_a_column_for_each_of_its_fields() -> None:
    from sitekeeper_collector.registry.fields import COLUMNS

    assert {column.field for column in COLUMNS} == set(SiteEntry.__struct_fields__)
