"""A county that does not exist: its sites as entries of the register, its classes, and who plays which part. Pure.

Townships have eight villages. Six of them hang on the first access node and five on the first feeder, so that neighbours by
line and neighbours by power are not the same.
"""

import csv
import io
import random
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sitekeeper_collector.registry import contacts
from sitekeeper_collector.registry.entry import Contact, Profile, SiteEntry

COUNTY = "云溪县"
MIN_SITES = 20
"""Two whole townships, and four sites of a third, for everything that happens."""
MAX_SITES = 5000
VILLAGES, _ON_FIRST_NODE, _ON_FIRST_FEEDER = 8, 6, 5
_COUNTY_CODE = "990321"
"""No county has a code that begins with 99."""
_TOWNSHIPS = ("柳河", "石桥", "青山", "桃源", "双井", "白沙", "龙潭", "枫林", "大榆树", "三岔", "清水", "杨店")
_FIRST = ("柳树", "王家", "李家", "石头", "南", "北", "上", "下", "黄土", "张", "刘", "白杨", "泉水", "枣林", "马家")
_SECOND = ("沟", "庄", "湾", "岭", "坪", "寨", "店", "河", "坡", "营", "塘")
_SURNAMES, _GIVEN = "王李张刘陈杨赵黄周吴徐孙", ("建国", "秀英", "桂兰", "志强", "红梅", "德福", "春生", "玉珍", "卫东", "小燕")
_HOURS = ("Mon-Fri 19:00-21:00; Sat-Sun 09:00-11:30", "Mon-Sun 08:30-17:30", "Tue,Thu 18:30-20:30; Sat 09:00-11:00", "")


class Class(NamedTuple):
    """A class that all sites of a township take part in; times are seconds from the start of the demo."""

    township: str
    from_s: float
    to_s: float
    title: str


class Cast(NamedTuple):
    """Which sites the script is about, by id. ``wall`` takes part in no class."""

    resolver: str
    stream: str
    node: tuple[str, ...]
    wall: str
    power: tuple[str, ...]


def plan_sites(count: int = 60, seed: int = 1) -> list[SiteEntry]:
    """The register. Raises ``ValueError`` for a number of sites that the script can't be played with."""
    if not MIN_SITES <= count <= MAX_SITES:
        raise ValueError(f"a county of {count} sites; {MIN_SITES} to {MAX_SITES} are possible")
    chance = random.Random(f"sites of {seed}")  # noqa: S311 - names, not secrets
    names = [first + second + "村" for first in _FIRST for second in _SECOND]
    chance.shuffle(names)
    return [_site(at, names[at % len(names)], chance) for at in range(count)]


def _site(at: int, name: str, chance: random.Random) -> SiteEntry:
    town, village = divmod(at, VILLAGES)
    cycle, place = divmod(town, len(_TOWNSHIPS))
    word = _TOWNSHIPS[place] + (f"{cycle + 1}区" if cycle else "")
    keeper = Contact(name=chance.choice(_SURNAMES) + chance.choice(_GIVEN), phone=f"1380000{at:04d}")
    return SiteEntry(
        id=f"{_COUNTY_CODE}{town + 1:03d}{201 + village}",
        name=name,
        county=COUNTY,
        township=f"{word}镇",
        access_node=f"{word}OLT-{1 if village < _ON_FIRST_NODE else 2}",
        feeder=f"10kV{word}{'一' if village < _ON_FIRST_FEEDER else '二'}线",
        line_number=f"YX-FTTH-{20000 + at:06d}",
        account=f"yx{10000 + at:06d}",
        loid=f"YXLOID{30000 + at:06d}",
        line_phone=f"1390000{at:04d}",
        contacts=(keeper,),
        profile=chance.choice((Profile.PC, Profile.PC, Profile.PC, Profile.PC_IPTV)),
        hours=_HOURS[village % len(_HOURS)],
    )


def sites_csv(sites: Iterable[SiteEntry]) -> str:
    """The register as a CSV file that ``sitekeeper-collector sites import`` takes."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(SiteEntry.__struct_fields__)
    for site in sites:
        writer.writerow([_cell(site, field) for field in SiteEntry.__struct_fields__])
    return out.getvalue()


def _cell(site: SiteEntry, field: str) -> str:
    return contacts.render(site.contacts) if field == "contacts" else str(getattr(site, field))


def plan_classes(sites: Sequence[SiteEntry], factor: float = 1.0) -> list[Class]:
    """The classes: one in the township whose access node will fail, one in the fifth township if there is one.

    The first is on from the start for ten minutes, times ``factor``.
    """
    towns = townships(sites)
    classes = [Class(next(iter(towns)), 0.0, 600.0 * factor, "农技课堂：果树冬季修剪")]
    if len(towns) > 5:
        classes.append(Class(list(towns)[4], 20.0 * factor, 420.0 * factor, "远程课堂：惠农政策解读"))
    return classes


def townships(sites: Sequence[SiteEntry]) -> dict[str, list[SiteEntry]]:
    """The sites of each township, in the order of the register."""
    towns: dict[str, list[SiteEntry]] = {}
    for site in sites:
        towns.setdefault(site.township, []).append(site)
    return towns


def cast(sites: Sequence[SiteEntry]) -> Cast:
    """Who plays which part. Raises ``ValueError`` for a register that is not like one of ``plan_sites``."""
    towns = list(townships(sites).values())
    if len(towns) < 3 or len(towns[1]) < VILLAGES or len(towns[2]) < 4:
        raise ValueError(f"the script needs two townships of {VILLAGES} sites and one of 4; take the sites from plan_sites")
    node = towns[0][0].access_node
    return Cast(
        resolver=towns[2][0].id,
        stream=towns[2][2].id,
        node=tuple(site.id for site in towns[0] if site.access_node == node),
        wall=towns[-1][-1].id,
        power=tuple(site.id for site in towns[1]),
    )
