"""What the page says, in zh and en, besides the words of the catalogue."""

from sitekeeper_protocol.texts import LANGUAGES, Lang, Pair
from sitekeeper_protocol.vocabulary import Kind, Party, Rung, State

SHORT_RUNGS: dict[Rung, Pair] = {
    Rung.LINK: ("网线", "Cable"),
    Rung.ADDRESS: ("地址", "Address"),
    Rung.GATEWAY: ("路由器", "Router"),
    Rung.MODEM: ("光猫", "Modem"),
    Rung.ISP: ("线路", "Line"),
    Rung.DNS: ("域名", "Names"),
    Rung.PORTAL: ("平台", "Portal"),
    Rung.MEDIA: ("视频", "Video"),
}

SHORT_STATES: dict[State, Pair] = {
    State.OK: ("通", "works"),
    State.DEGRADED: ("差", "poor"),
    State.FAIL: ("不通", "broken"),
    State.SILENT: ("不知道", "unknown"),
}

VERDICTS: dict[State, Pair] = {
    State.OK: ("正常：平台可以访问", "All is well: the portal answers"),
    State.DEGRADED: ("能用，但不正常", "It works, but not well"),
    State.FAIL: ("有故障", "Something is broken"),
    State.SILENT: ("现在判断不了", "This can't be told at the moment"),
}

PARTIES: dict[Party, Pair] = {
    Party.SITE: ("先照下面的步骤试一试", "Please try the steps below first"),
    Party.TELECOM: ("要由运营商来修", "The telephone company has to repair it"),
    Party.TECHNICIAN: ("要由县技术员来修", "The county technician has to repair it"),
    Party.POWER: ("要由供电部门处理", "The power supplier has to see to it"),
    Party.PLATFORM: ("省平台的问题，不是本站的问题", "The province's platform has to repair it; it is not your fault"),
    Party.MANAGEMENT: ("请告诉乡镇管理员", "Please tell the township"),
}

ABOUT: dict[Kind, Pair] = {
    Kind.DISPLAY_MISSING: ("没有画面", "No picture"),
    Kind.AUDIO_MISSING: ("没有声音", "No sound"),
    Kind.PLAYBACK_FAILURE: ("视频放不出来", "Video won't play"),
}
"""What a person sees and the PC may not."""

SAID: dict[str, Pair] = {
    "title": ("本站情况", "This site"),
    "site": ("站点号", "Site number"),
    "other_language": ("English", "中文"),
    "check": ("再查一次", "Check again"),
    "repair": ("我要报修", "Ask for repair"),
    "collected": ("收集了什么", "What is collected"),
    "back": ("返回", "Back"),
    "next": ("下一步 ›", "Next step ›"),
    "previous": ("‹ 上一步", "‹ Step before"),
    "step": ("第{at}步，共{of}步", "Step {at} of {of}"),
    "no_steps": (
        "没有您能做的。可以“再查一次”，或者“我要报修”。",
        'There is nothing you can do yourself. "Check again", or "Ask for repair".',
    ),
    "well_steps": ("还是不能上课？请点：", "Still no class? Press what is wrong:"),
    "code": ("8位数字", "8 digits"),
    "lasting": ("已持续{minutes}", "broken for {minutes}"),
    "looked": ("{ago}查过", "Looked {ago}"),
    "first_look": ("正在第一次检查，请等一会儿", "Looking for the first time, please wait"),
    "looking": ("正在查，请等一会儿……", "Looking, please wait …"),
    "refused": ("没有做", "Not done"),
    "stale": ("这一页是旧的。请回去再点一次。", "That page was an old one. Please go back and press once more."),
    "too_often": ("点得太快了。请等一会儿再点。", "That was too often. Please wait a moment and press again."),
    "asked_already": ("您已经报修过了，不用再点。", "You have asked already. There is no need to press again."),
    "foreign": ("这个请求不是从本页来的，没有执行。", "That request did not come from this page and was not carried out."),
    "not_found": ("没有这一页。", "There is no such page."),
    "on_today": ("今天开机{on}", "On today: {on}"),
    "used_today": ("今天开机{on}，使用{used}", "On today: {on}, in use {used}"),
    "open_tickets": ("本站还没办完的单号：{numbers}", "Open numbers of this site: {numbers}"),
}

OUTCOMES: dict[str, Pair] = {
    "worked": ("好了！刚才这一步有用。", "It works now. That step helped."),
    "better": ("能用了，但还不太正常。", "It works again, but not well yet."),
    "same": ("还没好。", "Not yet."),
    "same_next": ("还没好，请做下一步。", "Not yet. Please do the next step."),
    "same_last": ("还没好，步骤都试过了。请点“我要报修”。", 'Not yet, and all steps are done. Press "Ask for repair".'),
    "changed": ("情况变了，请看上面。", "That has changed: see above."),
    "still_well": ("查过了，一切正常。", "Looked again: all is well."),
    "broken_now": ("查过了，现在有故障。", "Looked again: something is broken now."),
    "unknown": ("查过了，还是判断不了。", "Looked again, and still can't tell."),
    "came_to_nothing": ("没有查成，请再查一次。", "The look itself failed. Please check again."),
}

REPAIR: dict[str, Pair] = {
    "saving": ("正在记下您的报修……", "Noting your request …"),
    "saved": (
        "您的报修已记在本机，正在发送，还没有收到回音。",
        "Your request is kept on this PC and being sent; no answer has come yet.",
    ),
    "waiting": (
        "您的报修已记在本机，还没有发出去。通了会自动发。",
        "Your request is kept on this PC, but not sent yet. It goes by itself as soon as it can.",
    ),
    "unwritable": (
        "本机硬盘写不进去，关机后报修会丢。请打电话。",
        "This PC's disk takes nothing: the request is lost when it is switched off. Please call.",
    ),
    "received": ("县里已收到您的报修，还没有单号。", "The county has your request. There is no number yet."),
    "over": ("您的报修（单号{numbers}）已办完。", "Your request (number {numbers}) is closed."),
}


def of(pair: Pair, lang: Lang, **values: object) -> str:
    """One language's words, with ``values`` put in."""
    words = pair[LANGUAGES.index(lang)]
    return words.format(**values) if values else words


def said(name: str, lang: Lang, **values: object) -> str:
    """One of ``SAID``."""
    return of(SAID[name], lang, **values)


def lasting(minutes: int, lang: Lang) -> str:
    """A number of minutes in words, without needless precision."""
    for least, per, zh, en in ((2880, 1440, "天", "days"), (120, 60, "小时", "hours")):
        if minutes >= least:
            return f"{minutes // per}{zh}" if lang == "zh" else f"{minutes // per} {en}"
    if minutes < 1:
        return "不到1分钟" if lang == "zh" else "less than a minute"
    return f"{minutes}分钟" if lang == "zh" else f"{minutes} minute{'s' if minutes > 1 else ''}"


def ago(minutes: int, lang: Lang) -> str:
    """How long ago, in words."""
    if minutes < 1:
        return "刚刚" if lang == "zh" else "just now"
    return f"{lasting(minutes, lang)}前" if lang == "zh" else f"{lasting(minutes, lang)} ago"


def hours(minutes: int, lang: Lang) -> str:
    """A length of time of a day, to the minute."""
    whole, rest = divmod(minutes, 60)
    if lang == "zh":
        return f"{whole}小时{rest}分" if whole else f"{rest}分钟"
    return f"{whole} h {rest} min" if whole else f"{rest} min"
