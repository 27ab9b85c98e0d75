"""What the demo says, in Chinese and English."""

from sitekeeper_protocol.texts import Lang, Pair

_WORDS: dict[str, Pair] = {
    "title": ("远程教育站点看护 · 演示", "Sitekeeper · demo"),
    "what": (
        "这台电脑作为一个站点：代理程序真实检测，经内置消息服务器送到采集端，按序号存库一次不漏。",
        "This PC plays a site: a real agent measures it and reports through an embedded broker to a real collector.",
    ),
    "files": ("文件", "files"),
    "stop_hint": ("按 Ctrl-C 结束", "Ctrl-C ends it"),
    "measures": ("本机检测（代理程序）", "What this PC measures (the agent)"),
    "stored": ("采集端已存（数据库）", "What the collector has stored (its database)"),
    "waiting": ("等待第一个样本……", "waiting for the first sample ..."),
    "verdict": ("判断", "verdict"),
    "cpu": ("处理器占用", "processor in use"),
    "memory": ("可用内存", "memory available"),
    "disk": ("磁盘剩余", "disk free"),
    "uptime": ("已开机", "up for"),
    "samples": ("样本", "samples"),
    "complete": ("1 到 {last} 全部在库", "1 to {last}, none missing"),
    "missing": ("1 到 {last}，缺 {missing}", "1 to {last}, {missing} missing"),
    "messages": ("消息", "messages"),
    "counted": ("报告 {report} · 回执 {receipt}", "{report} reports, {receipt} receipts"),
    "placement": ("时间来源", "time known by"),
    "exact": ("往返校时 {n}", "round trip {n}"),
    "wall": ("本机时钟 {n}", "its own clock {n}"),
    "received": ("到达时刻 {n}", "arrival {n}"),
    "held": ("待定 {n}", "not known yet {n}"),
    "lag": ("最新样本", "newest sample"),
    "ago": ("{s:.0f} 秒前", "{s:.0f} s ago"),
    "spool": ("代理程序本地", "kept by the agent"),
    "spool_counts": ("{held} 个样本，其中 {open} 个未获回执", "{held} samples, {open} without a receipt"),
    "starting": ("正在启动", "starting"),
    "live": ("正常收发", "live"),
    "broker_down": ("消息服务器已停（演示断线），样本留在本机", "the broker is stopped (a cut line): samples wait on this PC"),
    "catching_up": ("消息服务器已恢复，正在补传", "the broker is back: the agent catches up"),
    "proven": ("断线期间的样本已全部补齐，一个不少", "all samples of the cut have arrived, none is missing"),
    "phase": ("状态", "now"),
    "ending": ("正在结束：停代理、收尾、核对……", "ending: the agent says goodbye, then the count is checked ..."),
    "restarting": (
        "告别消息没来得及送到，留在本机；再启动一次代理程序把它补上……",
        "the goodbye did not get through in time and waits on this PC: the agent is started once more to bring it ...",
    ),
    "result_ok": (
        "结果：代理程序留有 {held} 个样本，数据库存有 {stored} 个，一一对应。",
        "Result: the agent holds {held} samples, the database {stored}: every one is stored, once.",
    ),
    "result_bad": (
        "结果不对：代理程序留有 {held} 个样本，数据库存有 {stored} 个，缺 {missing}。",
        "NOT right: the agent holds {held} samples, the database {stored}, {missing} missing.",
    ),
    "console": (
        "浏览器打开 {address}  用户名 {user}  密码 {password}",
        "In a browser: {address}  user {user}  password {password}",
    ),
    "story": (
        "用上面的用户名和密码登录。两分钟内会有五起事件发生并恢复；看“总览”“工单”和“邮件”三页。",
        "Sign in with that user and password. Within two minutes five things go wrong and come right: watch the pages "
        "Overview, Tickets and Mails.",
    ),
    "county": (
        "模拟县：{sites}个站点，在线{connected}，样本{samples}",
        "A simulated county: {sites} sites, {connected} connected, {samples} samples",
    ),
    "coming": ("{s} 秒后：{text}", "in {s} s: {text}"),
    "story_over": ("全部事件已发生并恢复，可以继续浏览", "all has happened and come right; look around as long as you like"),
    "look_at": ("看：", "Look: "),
    "tickets": (
        "工单：待处理 {waiting}，已结束 {ended}；已发邮件 {mails}",
        "Tickets: {waiting} waiting, {ended} over; {mails} mails sent",
    ),
    "ticket_open": ("待接单", "open"),
    "ticket_acknowledged": ("已接单", "acknowledged"),
    "ticket_resolved": ("已恢复", "resolved"),
    "ticket_closed": ("已撤销", "withdrawn"),
    "look": ("想再看看：", "Look for yourself:"),
    "failed": ("演示失败：", "The demo failed: "),
    "died": ("{name} 已退出（代码 {code}），日志末尾：", "{name} ended (code {code}); the end of its log:"),
}


def say(key: str, lang: Lang, **values: object) -> str:
    """The words for ``key``."""
    return _WORDS[key][0 if lang == "zh" else 1].format(**values)
