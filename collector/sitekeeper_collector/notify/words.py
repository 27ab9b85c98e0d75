"""The words of the mails, zh and en; the names of kinds, rungs and parties are those of the protocol."""

from sitekeeper_collector.domain.tickets import SYSTEM, Closing, NoticeEvent, TimelineEntry, What
from sitekeeper_protocol.ladder import DIRECT
from sitekeeper_protocol.texts import LANGUAGES, Lang, Pair
from sitekeeper_protocol.vocabulary import Grade, Method, Rung, State

EVENTS: dict[NoticeEvent, Pair] = {
    NoticeEvent.OPENED: ("新故障", "new fault"),
    NoticeEvent.RECOVERED: ("已恢复", "recovered"),
    NoticeEvent.REOPENED: ("再次出现", "it is back"),
    NoticeEvent.AMENDED: ("更正", "correction"),
    NoticeEvent.MOVED_AWAY: ("已转出", "moved away"),
    NoticeEvent.MOVED_HERE: ("转到贵方", "moved to you"),
    NoticeEvent.CLOSED: ("已撤销", "withdrawn"),
}

ASKS: dict[NoticeEvent, Pair] = {
    NoticeEvent.OPENED: ("请{party}处理。", "This is for the {party}."),
    NoticeEvent.RECOVERED: ("已恢复，不用再处理。", "It works again, nothing more to do."),
    NoticeEvent.REOPENED: ("故障再次出现，请{party}继续处理。", "It is back: please go on, {party}."),
    NoticeEvent.AMENDED: ("故障情况有更正，以本邮件为准。", "What was said before is corrected here."),
    NoticeEvent.MOVED_AWAY: ("已转给{party}，贵方不用再处理。", "Now with the {party}: nothing more for you to do."),
    NoticeEvent.MOVED_HERE: ("查明后转到这里，请{party}处理。", "Found to be for the {party}, please take it on."),
    NoticeEvent.CLOSED: ("已撤销，不用处理。", "Withdrawn, nothing to do."),
}

CLOSINGS: dict[Closing, Pair] = {
    Closing.MERGED: ("并入另一张工单", "goes on in another ticket"),
    Closing.EXPLAINED: ("不是故障：关机或停电", "no fault: switched off or without power"),
    Closing.OWN_BLINDNESS: ("不是站点故障：中心没有收到数据", "no fault of the site: the centre could not hear"),
    Closing.MISTAKEN: ("误报", "a mistake"),
}

GRADE_MEANS: dict[Grade, Pair] = {
    Grade.PROVEN: ("站点设备自己测到，证据见本邮件。", "measured by the site's own equipment; this mail holds the evidence."),
    Grade.INFERRED: (
        "站点联系不上，中心根据旁证推断，站点尚未证实。",
        "the site can't be heard; concluded from other evidence, not yet proven there.",
    ),
    Grade.TO_VERIFY: ("目前只是现象，原因还要核实。", "so far only a symptom; its cause is still to be verified."),
}
GRADE_SYMBOLS: dict[Grade, str] = {Grade.PROVEN: "●", Grade.INFERRED: "◐", Grade.TO_VERIFY: "○"}

SHORT_RUNGS: dict[Rung, Pair] = {
    Rung.LINK: ("网线", "cable"),
    Rung.ADDRESS: ("地址", "addr."),
    Rung.GATEWAY: ("网关", "router"),
    Rung.MODEM: ("光猫", "modem"),
    Rung.ISP: ("线路", "line"),
    Rung.DNS: ("域名", "names"),
    Rung.PORTAL: ("平台", "portal"),
    Rung.MEDIA: ("视频", "media"),
}
SHORT_STATES: dict[State, Pair] = {
    State.OK: ("正常", "ok"),
    State.DEGRADED: ("差", "poor"),
    State.FAIL: ("不通", "down"),
    State.SILENT: ("不明", "unsure"),
    State.NOT_APPLICABLE: ("无", "n/a"),
}
SYMBOLS: dict[State, str] = {
    State.OK: "✓",
    State.DEGRADED: "!",
    State.FAIL: "✕",
    State.SILENT: "?",
    State.NOT_APPLICABLE: "–",
}

DONE: dict[What, Pair] = {
    What.OPENED: ("建单", "opened"),
    What.ACKNOWLEDGED: ("已接单", "acknowledged"),
    What.COMMENTED: ("备注", "comment"),
    What.REQUESTED: ("站点请求报修", "the site asks for repair"),
    What.REPAIR_CLAIMED: ("报告已修好，待验证", "reported as repaired, to be checked"),
    What.RESOLVED: ("人工确认修复", "confirmed as repaired"),
    What.RECOVERED: ("监测到恢复", "seen to work again"),
    What.REOPENED: ("再次打开", "opened again"),
    What.AMENDED: ("更正", "corrected"),
    What.RETIMED: ("时间更正", "times corrected"),
    What.MOVED: ("转派", "moved"),
    What.TAKEN_IN: ("归入共同原因", "explained by a common cause"),
    What.CAME_OUT: ("共同原因已消除，本站仍有故障", "outlasts the common cause"),
    What.MERGED: ("并入", "merged"),
    What.WITHDRAWN: ("撤销", "withdrawn"),
}

FACTS: dict[str, Pair] = {
    "last_heard": ("最后一次联系", "Last heard"),
    "class": ("被中断的课", "Class that was cut off"),
    "class_until": ("课到几点", "Class until"),
    "playing": ("当时正在播放", "Was playing"),
    "neighbours_gone": ("同一接入点的其他站点", "Others on the access node"),
    "access_node": ("接入点", "Access node"),
    "feeder": ("供电线路", "Power feeder"),
    "township": ("乡镇", "Township"),
    "platform": ("平台", "Platform"),
    "area_gone": ("同时中断的站点", "Sites lost together"),
    "dark_from": ("失联开始", "Not heard from"),
    "dark_to": ("失联结束", "Heard again"),
    "samples": ("本站测到", "Measured at the site"),
    "volume": ("磁盘", "Disk"),
    "free": ("剩余空间", "Free"),
    "stream": ("视频地址", "Stream"),
    "status": ("HTTP状态", "HTTP status"),
    "members": ("受影响站点", "Sites"),
    "phone_code": ("电话代码", "Phone code"),
    "not_answering": ("没有应答", "Not answering"),
}
"""What detection calls the facts of a ticket's evidence."""

PROBES: dict[str, Pair] = {DIRECT: ("直接询问", "asked directly")}
"""What the label of a reading means."""
PINGS = (Method.PING_SOCKET, Method.RAW_SOCKET, Method.PING_PROGRAM)
"""All the same to whoever has to repair a line."""

REASONS: dict[str, Pair] = {
    "seen_again": ("同样的故障又出现了", "the same fault was seen again"),
    "power": ("停电：站点自己的记录", "the power was out, by the site's own record"),
    "off": ("关机：站点自己的记录", "it was switched off, by the site's own record"),
}
"""What the system itself gives as a reason or a text in a timeline, by its word."""

LABELS: dict[str, Pair] = {
    "lasted": ("历时", "lasted"),
    "party": ("责任方", "Whose job"),
    "ticket": ("工单", "Ticket"),
    "previous": ("上次工单", "Earlier ticket"),
    "parent": ("并入工单", "Goes on in"),
    "order": ("运营商单号", "Carrier's order"),
    "ladder": ("从电脑到平台，逐级检测", "From the PC to the portal, step by step"),
    "here": ("故障在这一级：{rung}", "It fails here: {rung}"),
    "clues": ("依据", "What it rests on"),
    "members": ("受影响站点", "Sites"),
    "sites": ("{count}个站点", "{count} sites"),
    "and_more": ("{names} 等{all}个", "{names} and {count} more"),
    "carrier": ("报障文本（可直接复制到运营商系统）", "Text for the carrier's own system, ready to copy"),
    "help": ("现场可以先试", "What the site can try"),
    "evidence": ("证据", "Evidence"),
    "step": ("环节", "Step"),
    "result": ("结果", "Result"),
    "details": ("依据", "How we know"),
    "timeline": ("处理记录", "Timeline"),
    "earlier": ("更早的 {count} 条记录略去", "{count} earlier entries are left out"),
    "answer": ("怎样答复", "How to answer"),
    "answer_mail": (
        "直接回复本邮件，并保留标题里的单号 {ticket}：写明已接单、已修复，或不属于贵方。",
        "Reply to this mail and keep {ticket} in its subject: taken on, repaired, or not yours.",
    ),
    "answer_phone": ("打电话：{phone}，报单号 {ticket}。", "Call {phone} and give the number {ticket}."),
    "answer_link": ("打开工单：{link}", "Open the ticket: {link}"),
    "answer_none": ("不用答复。", "No answer is needed."),
    "footer": ("本邮件由监测系统自动发出。", "Sent automatically by the monitoring system."),
    "line_account": ("宽带账号", "Account"),
    "loid": ("LOID", "LOID"),
    "line_phone": ("登记电话", "Registered phone"),
    "ended": ("恢复于{time}", "works since {time}"),
    "yes": ("是", "yes"),
    "no": ("否", "no"),
    "times": ("{count}次", "{count} times"),
    "share": ("{together}个中{gone}个同时失联", "{gone} of {together} gone with it"),
    "loss": ("丢包{percent}%", "{percent}% lost"),
    "system": ("系统", "system"),
    "account": ("账号", "acct "),
    "node": ("接入点", "node "),
    "phone": ("电话", "tel "),
    "order_short": ("单号", ""),
    "from": ("{time}起", "since {time}"),
    "comma": ("，", ", "),
    "minutes": ("{m}分钟", "{m} min"),
    "hours": ("{h}小时{m}分", "{h} h {m} min"),
    "days": ("{d}天{h}小时", "{d} d {h} h"),
    "so_far": ("已{lasted}", "{lasted} so far"),
}


def say(label: str | Pair, lang: Lang, **values: object) -> str:
    """A phrase, by its name or as it is, with its places filled."""
    return pick(LABELS[label] if isinstance(label, str) else label, lang).format(**values)


def told(entry: TimelineEntry, key: str, lang: Lang) -> str:
    """A text of a timeline: what a person wrote as it is, the system's own words in the reader's language."""
    text = str(entry.details.get(key, ""))
    return pick(REASONS[text], lang) if entry.who == SYSTEM and text in REASONS else text


def pick(pair: Pair, lang: Lang) -> str:
    """The one of ``lang``."""
    return pair[LANGUAGES.index(lang)]
