"""Names of rungs, states, reasons, methods, kinds, parties, grades and the like, and the help at the site, in zh and en.

A number or word of a newer program, which this one does not know, is shown as it came.
"""

from collections.abc import Mapping
from typing import Any, Literal

from sitekeeper_protocol.vocabulary import (
    Grade,
    Kind,
    Method,
    Party,
    PlayerState,
    Reason,
    Rung,
    Setting,
    Severity,
    SmartState,
    State,
)

Lang = Literal["zh", "en"]
LANGUAGES: tuple[Lang, Lang] = ("zh", "en")

Pair = tuple[str, str]
"""The same in zh and in en."""

RUNGS: dict[Rung, Pair] = {
    Rung.LINK: ("网线连接", "cable"),
    Rung.ADDRESS: ("网络地址", "address"),
    Rung.GATEWAY: ("网关（路由器）", "gateway (router)"),
    Rung.MODEM: ("光猫", "modem"),
    Rung.ISP: ("运营商线路", "provider's line"),
    Rung.DNS: ("域名解析", "name resolution"),
    Rung.PORTAL: ("学习平台", "portal"),
    Rung.MEDIA: ("视频播放", "media"),
}

STATES: dict[State, Pair] = {
    State.OK: ("正常", "ok"),
    State.DEGRADED: ("质量差", "degraded"),
    State.FAIL: ("不通", "failed"),
    State.SILENT: ("无法判断", "can't tell"),
    State.NOT_APPLICABLE: ("不适用", "not applicable"),
}

REASONS: dict[Reason, Pair] = {
    Reason.NONE: ("无", "nothing to report"),
    Reason.TIMEOUT: ("超时无应答", "no answer in time"),
    Reason.REFUSED: ("对方拒绝连接", "connection refused"),
    Reason.UNREACHABLE: ("目标不可达", "destination unreachable"),
    Reason.NO_CARRIER: ("网线没插好或对端没通电", "cable unplugged, or its other end has no power"),
    Reason.NO_INTERFACE: ("没有可用的网卡", "no usable network adapter"),
    Reason.NO_ADDRESS: ("没有获取到网络地址", "no network address obtained"),
    Reason.SELF_ASSIGNED_ADDRESS: ("只有自动专用地址（169.254），没有获取到网络地址", "only a self-assigned address (169.254)"),
    Reason.NO_ROUTE: ("没有默认路由", "no default route"),
    Reason.NO_RESOLVER: ("没有设置DNS服务器", "no DNS server set"),
    Reason.NAME_NOT_FOUND: ("域名不存在", "name not found"),
    Reason.SERVER_FAILURE: ("DNS服务器出错", "the DNS server reports a failure"),
    Reason.LYING_ANSWER: ("域名解析到错误的地址", "the name resolves to a wrong address"),
    Reason.MALFORMED_REPLY: ("应答内容损坏", "garbled reply"),
    Reason.TLS_FAILED: ("加密连接建立失败", "no secure connection"),
    Reason.CERTIFICATE_INVALID: ("证书无效", "certificate not valid"),
    Reason.CERTIFICATE_EXPIRED: ("证书已过期", "certificate expired"),
    Reason.HTTP_CLIENT_ERROR: ("服务器拒绝请求（4xx）", "the server rejects the request (4xx)"),
    Reason.HTTP_SERVER_ERROR: ("服务器出错（5xx）", "the server reports an error (5xx)"),
    Reason.WRONG_CONTENT: ("返回的内容不对", "the answer has the wrong content"),
    Reason.CAPTIVE_PAGE: ("跳转到认证或缴费页面", "redirected to a login or payment page"),
    Reason.CONNECTION_RESET: ("连接被中断", "connection reset"),
    Reason.HIGH_LATENCY: ("延迟过高", "high latency"),
    Reason.PACKET_LOSS: ("丢包", "packet loss"),
    Reason.PPPOE_NO_ANSWER: ("宽带拨号无应答（错误678）", "no answer to the dial-in (PPPoE error 678)"),
    Reason.PPPOE_REJECTED: ("宽带账号被拒绝（错误691）", "dial-in account rejected (PPPoE error 691)"),
    Reason.NEVER_SUCCEEDED: ("在本站从未测通过，不能作为依据", "has never worked at this site, so it proves nothing"),
    Reason.ANSWERED_ABOVE: ("上一级是通的，说明只是不回应探测", "a higher rung answers, so this one merely ignores probes"),
    Reason.NO_PERMISSION: ("没有探测权限", "no permission to probe"),
    Reason.PROBE_HUNG: ("探测没有按时结束", "the probe did not come back in time"),
    Reason.PROBE_ERROR: ("探测程序出错", "the probe itself failed"),
    Reason.NOT_CONFIGURED: ("没有配置", "not configured"),
    Reason.SLOW: ("速度慢", "slow"),
    Reason.STREAM_STALLED: ("直播流不再更新", "the live stream no longer moves"),
    Reason.DUPLICATE_ADDRESS: ("另一台设备用了本机的地址", "another machine uses this PC's address"),
    Reason.LOGIN_REFUSED: ("服务器不接受本站的账号", "the broker refuses the site's login"),
}

PLAYER_STATES: dict[PlayerState, Pair] = {
    PlayerState.ABSENT: ("未运行", "not running"),
    PlayerState.IDLE: ("空闲", "idle"),
    PlayerState.STARTING: ("正在打开", "starting"),
    PlayerState.PLAYING: ("正在播放", "playing"),
    PlayerState.STALLED: ("卡住缓冲", "stalled"),
    PlayerState.PAUSED: ("已暂停", "paused"),
    PlayerState.HUNG: ("没有响应", "not responding"),
    PlayerState.RESTARTING: ("反复重启", "restarting again and again"),
    PlayerState.RUNNING: ("正在运行", "running"),
    PlayerState.UNKNOWN: ("查不到", "can't be asked"),
}

SMART_STATES: dict[SmartState, Pair] = {
    SmartState.PASSED: ("自检正常", "passes its own test"),
    SmartState.WORN: ("有坏扇区或接近寿命", "bad sectors, or near the end of its life"),
    SmartState.FAILING: ("即将损坏，请尽快换盘", "failing, replace it soon"),
    SmartState.NO_RIGHTS: ("没有权限读取", "may not be read without rights"),
    SmartState.NOT_OFFERED: ("硬盘不提供健康信息", "tells nothing of its health"),
    SmartState.UNKNOWN: ("读取结果无法识别", "its answer makes no sense"),
}

SETTINGS: dict[Setting, Pair] = {
    Setting.ADDRESS_METHOD: ("IP地址获取方式", "how the IP address comes"),
    Setting.ADDRESS: ("固定IP地址", "fixed IP address"),
    Setting.GATEWAY: ("固定网关", "fixed gateway"),
    Setting.RESOLVERS: ("DNS服务器", "DNS servers"),
    Setting.PROXY: ("代理服务器", "proxy"),
}

METHODS: dict[Method, Pair] = {
    Method.NONE: ("未探测", "not probed"),
    Method.PING_SOCKET: ("ping（系统套接字）", "ping socket"),
    Method.RAW_SOCKET: ("ping（原始套接字）", "raw socket ping"),
    Method.PING_PROGRAM: ("ping命令", "ping program"),
    Method.TCP_CONNECT: ("TCP连接", "TCP connection"),
    Method.NEIGHBOUR_TABLE: ("邻居表（ARP）", "neighbour table (ARP)"),
    Method.UDP_QUERY: ("DNS查询", "DNS query"),
    Method.HTTP: ("网页访问", "web request"),
    Method.SYSTEM: ("系统状态", "system state"),
    Method.HOP_LIMIT: ("限跳数探测", "hop limit"),
    Method.LOG_FILE: ("日志", "log file"),
    Method.RTSP: ("RTSP播放", "RTSP"),
    Method.MULTICAST: ("接收组播", "listening to multicast"),
}

KINDS: dict[Kind, Pair] = {
    Kind.SITE_DARK: ("站点失联", "site dark"),
    Kind.LINE_SUSPECTED: ("疑似线路中断", "line fault suspected"),
    Kind.LINE_DOWN: ("线路中断", "line down"),
    Kind.MODEM_DOWN: ("光猫不通", "modem down"),
    Kind.GATEWAY_DOWN: ("网关不通", "gateway down"),
    Kind.NO_ADDRESS: ("获取不到网络地址", "no network address"),
    Kind.LINK_DOWN: ("网线没有连上", "cable disconnected"),
    Kind.ARREARS: ("疑似欠费停机", "line stopped, probably for an unpaid bill"),
    Kind.LINE_DEGRADED: ("线路质量差", "line degraded"),
    Kind.LINE_SLOW: ("网速不达标", "line too slow"),
    Kind.DNS_FAILURE: ("域名解析故障", "name resolution failing"),
    Kind.UPLINK_BLOCKED: ("上报通道被阻断", "reports blocked"),
    Kind.PORTAL_DOWN: ("学习平台打不开", "portal down"),
    Kind.MEDIA_DOWN: ("视频源故障", "media source down"),
    Kind.PLAYBACK_FAILURE: ("播放失败", "playback failing"),
    Kind.PLAYBACK_STALLING: ("播放卡顿", "playback stalling"),
    Kind.PLAYER_MISSING: ("播放器缺失或未运行", "player missing"),
    Kind.DISPLAY_MISSING: ("检测不到显示设备", "display missing"),
    Kind.AUDIO_MISSING: ("检测不到音频设备", "audio missing"),
    Kind.DEVICE_MISSING: ("外接设备缺失", "device missing"),
    Kind.DISK_FULL: ("磁盘空间不足", "disk full"),
    Kind.DISK_FAILING: ("硬盘故障", "disk failing"),
    Kind.OVERHEATING: ("电脑过热", "overheating"),
    Kind.OVERLOADED: ("电脑负载过高", "overloaded"),
    Kind.CLOCK_WRONG: ("电脑时间不准", "clock wrong"),
    Kind.SETTINGS_CHANGED: ("网络设置被改动", "settings changed"),
    Kind.RESTARTING: ("电脑反复重启", "PC restarting again and again"),
    Kind.POWER_LOSS: ("停电", "power loss"),
    Kind.AREA_OUTAGE: ("片区故障", "area outage"),
    Kind.FLAPPING: ("故障时断时续", "coming and going"),
    Kind.DUPLICATE_IDENTITY: ("站点编号重复使用", "site id used twice"),
    Kind.AGENT_TROUBLE: ("监测程序异常", "agent in trouble"),
    Kind.REPORTED: ("站点报修", "reported by the site"),
    Kind.LONG_UNHEARD: ("长期没有联系", "long unheard of"),
}

PARTIES: dict[Party, Pair] = {
    Party.TELECOM: ("运营商", "telecom maintainer"),
    Party.TECHNICIAN: ("县技术员", "county technician"),
    Party.SITE: ("站点管理员", "site administrator"),
    Party.POWER: ("供电部门", "power supplier"),
    Party.PLATFORM: ("省平台", "province platform"),
    Party.MANAGEMENT: ("管理部门", "management"),
}

GRADES: dict[Grade, Pair] = {
    Grade.PROVEN: ("现场已证实", "proven at the site"),
    Grade.INFERRED: ("中心推断", "inferred at the centre"),
    Grade.TO_VERIFY: ("待核实", "to be verified"),
}

SEVERITIES: dict[Severity, Pair] = {
    Severity.INFO: ("提示", "note"),
    Severity.MINOR: ("一般", "minor"),
    Severity.MAJOR: ("重要", "major"),
    Severity.CRITICAL: ("紧急", "critical"),
}

Steps = tuple[tuple[str, ...], tuple[str, ...]]
"""The same steps in zh and in en."""

_REPLUG: Steps = (
    (
        "拔光猫和路由器的电源（不是光纤），数到30再插，等5分钟。打雷时不要碰。",
        "灯恢复后点“再查一次”。",
    ),
    (
        "Unplug the power (not the fibre) of modem and router, count to 30, plug in, wait 5 minutes. Not in a thunderstorm.",
        'Then press "Check again".',
    ),
)
_NOT_YOURS: Steps = (("不是本站问题，不用动。",), ("Not your fault, nothing to do.",))
_PLAYER: Steps = (
    ("关掉播放器再打开。", "重启电脑。", "点“我要报修”。"),
    ("Close the player, open it again.", "Restart the PC.", 'Press "Ask for repair".'),
)
_PICTURE_AND_SOUND: Steps = (
    (
        "看电视或投影有没有通电。",
        "按电视遥控器“信号源”，逐个试，直到出现电脑画面。",
        "电视音量调到一半；电脑右下角喇叭不能打叉。",
    ),
    (
        "Is the TV or projector on?",
        'Press "source" on the remote until the PC\'s picture shows.',
        "TV volume to half; the PC's speaker must not be crossed out.",
    ),
)
_POWER: Steps = (
    ("插头松了就插紧。有焦味、发烫、打火：人离开，能安全拉闸就拉闸，打电话。",),
    ("Push in a loose plug. Burnt smell, heat or sparks: step away, cut the mains if that is safe, call.",),
)

HELP: dict[Kind, Steps] = {
    Kind.LINK_DOWN: (
        ("把电脑后面的网线两头按紧。", "看光猫电源灯：不亮就接通电源。", "换一根网线再试。"),
        (
            "Push both ends of the network cable in.",
            "Is the modem's power light on? If not, plug it in.",
            "Try another cable.",
        ),
    ),
    Kind.NO_ADDRESS: _REPLUG,
    Kind.GATEWAY_DOWN: _REPLUG,
    Kind.MODEM_DOWN: _REPLUG,
    Kind.LINE_DOWN: (
        (
            "看LOS灯：不亮是正常，发红（亮或闪）是光路断了。",
            "不要拔细光纤，不要看光纤头，不要按小孔里的按钮。",
        ),
        (
            "LOS light: off is normal, red means the fibre is cut.",
            "Don't unplug the thin fibre, don't look into it, don't press the button in the small hole.",
        ),
    ),
    Kind.DNS_FAILURE: (
        ("不要改网络设置。", "重启电脑一次。"),
        ("Leave the network settings.", "Restart the PC once."),
    ),
    Kind.ARREARS: (
        ("可能欠费停机，请告诉乡镇管理员。",),
        ("The line may be stopped for an unpaid bill: tell the township.",),
    ),
    Kind.PORTAL_DOWN: _NOT_YOURS,
    Kind.MEDIA_DOWN: _NOT_YOURS,
    Kind.PLAYBACK_FAILURE: _PLAYER,
    Kind.PLAYER_MISSING: _PLAYER,
    Kind.DISPLAY_MISSING: _PICTURE_AND_SOUND,
    Kind.AUDIO_MISSING: _PICTURE_AND_SOUND,
    Kind.OVERHEATING: (
        ("先关机、拔电源线，用干毛刷扫外壳散热孔。不要开机箱，不用湿布。",),
        ("Shut down, unplug, brush the vents from outside with a dry brush. Don't open the case, no wet cloth.",),
    ),
    Kind.DISK_FULL: (
        ("请不要删文件，技术员会处理。",),
        ("Please delete nothing, the technician will see to it.",),
    ),
    Kind.RESTARTING: _POWER,
    Kind.POWER_LOSS: _POWER,
}


def rung(rung: Rung | int, lang: Lang) -> str:
    """The name of a rung."""
    return _name(RUNGS, rung, lang)


def state(state: State | int, lang: Lang) -> str:
    """The name of a reading's or verdict's state."""
    return _name(STATES, state, lang)


def reason(reason: Reason | int, lang: Lang) -> str:
    """Why a reading is not plain ok, in words."""
    return _name(REASONS, reason, lang)


def player_state(state: PlayerState | int, lang: Lang) -> str:
    """What a player does, in words."""
    return _name(PLAYER_STATES, state, lang)


def smart_state(state: SmartState | int, lang: Lang) -> str:
    """What a disk says of its own health, in words."""
    return _name(SMART_STATES, state, lang)


def setting(setting: Setting | str, lang: Lang) -> str:
    """The name of a watched setting."""
    return _name(SETTINGS, setting, lang)


def method(method: Method | int, lang: Lang) -> str:
    """The name of a way to probe."""
    return _name(METHODS, method, lang)


def kind(kind: Kind | str, lang: Lang) -> str:
    """The name of a kind of fault."""
    return _name(KINDS, kind, lang)


def party(party: Party | str, lang: Lang) -> str:
    """Who a party is."""
    return _name(PARTIES, party, lang)


def grade(grade: Grade | str, lang: Lang) -> str:
    """How sure a cause is."""
    return _name(GRADES, grade, lang)


def severity(severity: Severity | str, lang: Lang) -> str:
    """The name of a severity."""
    return _name(SEVERITIES, severity, lang)


def help_steps(kind: Kind | str, lang: Lang) -> tuple[str, ...]:
    """What the person at the site can try, at most three steps; none where there is nothing to try."""
    steps = HELP.get(kind)  # type: ignore[arg-type]
    return () if steps is None else steps[LANGUAGES.index(lang)]


Unsent = Literal["line", "uplink", "waiting"]
"""Why there is no number: the line is down; nothing can be sent for another reason; or it is sent and none has come yet."""

UNSENT: dict[Unsent, Pair] = {
    "line": ("网断了，系统报不出去。请打", "The line is down, so this can't be sent. Call"),
    "uplink": ("系统现在报不出去。请打", "This can't be sent at the moment. Call"),
    "waiting": ("还没有收到单号。急用请打", "No ticket number has come yet. If it is urgent, call"),
}
NO_PHONE: Pair = ("给县里的技术员", "the county technician")


def reported(number: str | None, phone: str, lang: Lang, unsent: Unsent = "line") -> str:
    """The honest sentence about reporting: only a ``number`` that came in a receipt says that the fault is reported.

    Without one, ``unsent`` says why, and ``phone`` whom to call; an empty ``phone`` names the person.
    """
    if number is not None:
        return f"已上报，单号{number}。" if lang == "zh" else f"Reported, number {number}."
    at = LANGUAGES.index(lang)
    call, whom = UNSENT[unsent][at], phone or NO_PHONE[at]
    if lang == "zh":
        return f"{call}{whom}，说站点号和屏幕上8位数字。"
    return f"{call} {whom} and read out the site number and the 8 digits."


def _name(names: Mapping[Any, Pair], member: object, lang: Lang) -> str:
    pair = names.get(member)
    return str(member) if pair is None else pair[LANGUAGES.index(lang)]
