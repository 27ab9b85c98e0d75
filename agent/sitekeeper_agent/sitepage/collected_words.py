"""What is measured and told of this PC, in words for the people at the site, in zh and en."""

from sitekeeper_protocol.texts import Pair
from sitekeeper_protocol.vocabulary import Metric

COLLECTED: dict[str, Pair] = {
    "lead": (
        "这台电脑上的监测程序只看设备和网络是否正常，结果发给县里。下面列的是它这次启动以来发出的内容。",
        "The program on this PC watches whether equipment and network work, and tells the county. This is what it has sent "
        "since it was started.",
    ),
    "never": ("不收集", "Not collected"),
    "never_text": (
        "看过的网页地址和标题、无线网络名称、文件和文件名、按键、屏幕、摄像头、麦克风、上课人员的姓名。",
        "Addresses and titles of pages, Wi-Fi names, files and their names, keys, screen, camera, microphone, people's names.",
    ),
    "where": ("发到哪里", "Where it goes"),
    "where_text": ("{broker}（{how}）", "{broker} ({how})"),
    "encrypted": ("加密", "encrypted"),
    "plain": ("没有加密", "not encrypted"),
    "when": ("多久一次", "How often"),
    "when_text": (
        "每{sample}秒测一次，每{report}秒发一次，有变化马上发。",
        "Measured every {sample} s, sent every {report} s, and at once when something changes.",
    ),
    "kept": ("本机保存", "Kept here"),
    "kept_text": (
        "最多{days}天、{mib} MiB，县里确认以后再留{receipted}天。",
        "At most {days} days and {mib} MiB, {receipted} days after the county has confirmed.",
    ),
    "visits": ("为了测试，本机访问", "To test, this PC visits"),
    "measured": ("测量的数值", "What is measured"),
    "facts": ("本机的资料", "About this PC"),
    "events": ("发生的事", "What happens"),
    "events_text": (
        "开机、关机、停电、休眠、时钟跳变、故障的开始、结束和证据（测试过的地址）、播放开始和失败、按“我要报修”。",
        'Start, shutdown, power loss, suspend, jumps of the clock, faults with their evidence (the addresses tested), playback, and "Ask for repair" when it is pressed.',
    ),
    "nothing_yet": ("还没有测过。", "Nothing has been measured yet."),
}

METRICS: dict[Metric, Pair] = {
    Metric.RUNG_STATE: ("各级网络通不通", "whether each step of the network works"),
    Metric.RUNG_REASON: ("不通的原因", "why one does not"),
    Metric.RUNG_RTT_MS: ("各级网络的应答时间", "time to each step's answer"),
    Metric.RUNG_LOSS_RATIO: ("各级网络的丢包率", "share of lost packets"),
    Metric.RUNG_METHOD: ("测试方法", "how it was tested"),
    Metric.VERDICT_STATE: ("总的结论", "the verdict"),
    Metric.VERDICT_RUNG: ("问题在哪一级", "the step that is broken"),
    Metric.VERDICT_KIND: ("是什么故障", "the kind of fault"),
    Metric.VERDICT_PARTY: ("该由谁处理", "whose job it is"),
    Metric.VERDICT_GRADE: ("有多大把握", "how sure that is"),
    Metric.PORTAL_DNS_MS: ("平台：域名解析时间", "portal: name resolution"),
    Metric.PORTAL_CONNECT_MS: ("平台：连接时间", "portal: time to connect"),
    Metric.PORTAL_TLS_MS: ("平台：加密握手时间", "portal: time to encrypt"),
    Metric.PORTAL_FIRST_BYTE_MS: ("平台：应答时间", "portal: time to the answer"),
    Metric.PORTAL_STATUS: ("平台：状态码", "portal: status code"),
    Metric.PORTAL_CERTIFICATE_DAYS: ("平台：证书还有多少天", "portal: days until its certificate ends"),
    Metric.MEDIA_STARTUP_MS: ("视频：开始播放要多久", "video: time to start"),
    Metric.MEDIA_STATUS: ("视频：状态码", "video: status code"),
    Metric.PLAYING: ("是否在播放", "whether something plays"),
    Metric.CPU_RATIO: ("处理器使用率", "processor in use"),
    Metric.MEMORY_AVAILABLE_RATIO: ("可用内存", "memory available"),
    Metric.DISK_FREE_BYTES: ("磁盘剩余空间", "free disk space"),
    Metric.DISK_USED_RATIO: ("磁盘使用率", "used disk space"),
    Metric.TEMPERATURE_C: ("温度", "temperature"),
    Metric.PROCESSES: ("运行的程序个数（不含名称）", "number of programs (no names)"),
    Metric.NET_RECEIVED_BYTES: ("网卡接收的字节数", "bytes received"),
    Metric.NET_SENT_BYTES: ("网卡发送的字节数", "bytes sent"),
    Metric.HOST_UPTIME_S: ("开机时间", "time since the PC was started"),
    Metric.AGENT_CPU_S: ("监测程序占用的处理器时间", "processor time of this program"),
    Metric.AGENT_RSS_BYTES: ("监测程序占用的内存", "memory of this program"),
    Metric.SPOOL_HELD: ("本机保存的记录数", "records kept here"),
    Metric.SPOOL_UNCONFIRMED: ("还没有得到县里确认的记录数", "records that the county has not confirmed"),
    Metric.SPOOL_BYTES: ("记录占用的磁盘", "disk space of the records"),
    Metric.PROBES_HUNG: ("没有按时结束的测试数", "tests that did not end in time"),
    Metric.CLOCK_OFFSET_S: ("电脑时间差多少", "by how much the clock is wrong"),
}

FACTS: dict[str, Pair] = {
    "agent": ("监测程序版本", "version of this program"),
    "protocol": ("协议版本", "version of the protocol"),
    "python": ("Python版本", "version of Python"),
    "os": ("操作系统", "operating system"),
    "machine": ("处理器类型", "type of processor"),
    "cpus": ("处理器个数", "processors"),
    "memory_mib": ("内存（MiB）", "memory (MiB)"),
    "network.interface": ("网卡", "network adapter"),
    "network.wireless": ("无线", "wireless"),
    "network.speed_mbps": ("网卡速率（Mbit/s）", "speed of the adapter (Mbit/s)"),
    "network.resolvers": ("DNS服务器", "DNS servers"),
    "network.resolver": ("DNS由谁设置", "who set the DNS server"),
}
