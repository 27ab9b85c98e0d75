"""Each column's rule: its names in English and Chinese, and from a cell's text to a value in normal form.

Most of what goes wrong here comes from spreadsheets, which turn long numbers into 3.1E+11, drop leading zeros, and calculate
what begins with ``=``. What can be put right without guessing is; all else is refused with a hint.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from sitekeeper_collector.broker.mosquitto import TAIL
from sitekeeper_collector.registry import contacts, hours
from sitekeeper_collector.registry.entry import FieldProblem, Profile
from sitekeeper_protocol.errors import ProtocolError
from sitekeeper_protocol.topics import check_id

MAX_TEXT = 100
RESERVED_IDS = frozenset({"collector", TAIL})

_SCIENTIFIC = re.compile(r"[0-9]+(\.[0-9]+)?[eE]\+[0-9]+")
_DECIMAL = re.compile(r"[0-9]+\.0+")
_EXCEL_ERROR = re.compile(r"#(REF!|N/A|NAME\?|VALUE!|DIV/0!|NULL!|NUM!|#+)", re.IGNORECASE)
_AS_TEXT = "format the column as text, then type the number again"


class Column(NamedTuple):
    """How a column is called and read."""

    field: str
    titles: tuple[str, ...]
    read: Callable[[str], object]
    required: bool = False


def cell(raw: str) -> str:
    """A cell's text without what nobody sees: spaces around it (also wide ones), zero-width characters."""
    text = raw.replace("\u200b", "").replace("\ufeff", "").strip()
    for char in text:
        if unicodedata.category(char) in ("Cc", "Cf") and char not in "\n\t":
            raise FieldProblem(f"it holds the invisible character U+{ord(char):04X}", "type the value again by hand")
    return text


def plain_text(text: str) -> str:
    """A name or a place."""
    text = " ".join(text.split())
    if len(text) > MAX_TEXT:
        raise FieldProblem(f"it is {len(text)} characters long", f"at most {MAX_TEXT} characters")
    _no_formula(text)
    return text


def number_text(text: str) -> str:
    """An account or line number: text that often looks like a number."""
    text = plain_text(unicodedata.normalize("NFKC", text))
    _no_spreadsheet_number(text)
    return text


def site_id(text: str) -> str:
    """A site id that can stand in topics and file names."""
    text = unicodedata.normalize("NFKC", text)
    if not text:
        raise FieldProblem("it is empty", "every site needs an id, e.g. the administrative code of its village")
    _no_formula(text)
    _no_spreadsheet_number(text)
    if text.lower() in RESERVED_IDS:
        raise FieldProblem("that is the name of a user of the collector's own", "take another id")
    try:
        return check_id(text)
    except ProtocolError:
        raise FieldProblem(
            "it can't be a site id", "1 to 48 of A-Z a-z 0-9 . _ - without spaces, beginning with a letter or digit"
        ) from None


def site_name(text: str) -> str:
    """The name that people know the site by."""
    if not text:
        raise FieldProblem("it is empty", "every site needs a name, e.g. that of its village")
    return plain_text(text)


def profile(text: str) -> Profile:
    """What stands at the site; empty means a PC."""
    word = re.sub(r"[\s_+-]+", "_", unicodedata.normalize("NFKC", text).casefold())
    if not word:
        return Profile.PC
    found = _PROFILES.get(word)
    if found is None:
        raise FieldProblem("there is no such profile", f"one of {', '.join(Profile)} (电脑, 电脑+IPTV, 卫星, 人工)")
    return found


_CHINESE_PROFILES = {"电脑": Profile.PC, "电脑_iptv": Profile.PC_IPTV, "卫星": Profile.SATELLITE, "人工": Profile.MANUAL}
_PROFILES = {**{p.value: p for p in Profile}, **_CHINESE_PROFILES, "pc机": Profile.PC, "手工": Profile.MANUAL}


def _no_formula(text: str) -> None:
    if _EXCEL_ERROR.match(text):
        raise FieldProblem("a formula in the spreadsheet has failed", "mend it there, or type the value itself")
    # CWE-1236: such a value would be calculated again by the spreadsheet of whoever opens an export of ours.
    if text[:1] in ("=", "@", "+", "-"):
        raise FieldProblem(f"it begins with {text[:1]!r}, as formulas do", "type the value itself")


def _no_spreadsheet_number(text: str) -> None:
    if _SCIENTIFIC.fullmatch(text):
        raise FieldProblem("a spreadsheet has rounded a long number, its last digits are lost", _AS_TEXT)
    if _DECIMAL.fullmatch(text):
        raise FieldProblem("a spreadsheet has made a decimal number of it", _AS_TEXT)


COLUMNS: tuple[Column, ...] = (
    Column("id", ("id", "site", "siteid", "编号", "站点编号", "站点号", "站点代码"), site_id, required=True),
    Column("name", ("name", "sitename", "名称", "站点名称", "站名", "站点"), site_name, required=True),
    Column("county", ("county", "县", "区县", "县区", "县(区)", "县市区"), plain_text),
    Column("township", ("township", "town", "乡镇", "乡", "镇", "乡镇街道", "乡(镇)"), plain_text),
    Column("access_node", ("accessnode", "olt", "接入点", "接入节点", "接入局", "接入机房"), plain_text),
    Column("feeder", ("feeder", "powerfeeder", "供电线路", "馈线", "电力线路"), plain_text),
    Column("line_number", ("linenumber", "line", "线路号", "线路编号", "专线号", "电路编号"), number_text),
    Column("account", ("account", "broadbandaccount", "账号", "帐号", "宽带账号", "宽带帐号"), number_text),
    Column("loid", ("loid", "光猫号", "光猫编号", "逻辑号"), number_text),
    Column("line_phone", ("linephone", "registeredphone", "登记电话", "装机电话", "绑定电话"), number_text),
    Column("carrier", ("carrier", "operator", "isp", "运营商", "电信运营商", "线路运营商"), plain_text),
    Column("contacts", ("contacts", "contact", "联系人", "联系方式", "管理员"), contacts.parse),
    Column("profile", ("profile", "type", "类型", "站点类型", "接收方式"), profile),
    Column("hours", ("hours", "openinghours", "开放时间", "使用时间", "开放时段"), hours.normal),
)

_BY_TITLE: Mapping[str, Column] = MappingProxyType({title: column for column in COLUMNS for title in column.titles})


def title_key(title: str) -> str:
    """A column's title in the form in which titles are compared."""
    plain = unicodedata.normalize("NFKC", title.replace("\ufeff", "")).casefold()
    return re.sub(r"[\s_*:-]+", "", plain)


def column_of(title: str) -> Column | None:
    """The column that ``title`` names, in English or Chinese."""
    return _BY_TITLE.get(title_key(title))
