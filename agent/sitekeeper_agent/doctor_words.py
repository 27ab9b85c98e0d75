"""What `doctor` says, in Chinese and English: for each finding what is so, and, where something is to be done, what."""

from collections.abc import Mapping
from typing import NamedTuple

from sitekeeper_protocol.texts import Lang


class Said(NamedTuple):
    """``what`` and ``todo`` may hold {names} of what a finding is about; ``todo`` "": nothing is to be done."""

    what: str
    todo: str = ""


TOPICS: Mapping[str, tuple[str, str]] = {
    "config": ("配置", "configuration"),
    "password": ("密码文件", "password file"),
    "state": ("数据目录", "state folder"),
    "clock": ("时钟", "clock"),
    "ping": ("ping 权限", "ping"),
    "tools": ("系统工具", "tools"),
    "names": ("域名解析", "names"),
    "broker": ("消息服务器", "broker"),
    "portal": ("平台网站", "portal"),
    "agent": ("监测程序", "agent"),
}

MARKS: Mapping[str, tuple[str, str]] = {"ok": ("正常", "ok"), "hint": ("提示", "hint"), "fail": ("故障", "FAIL")}

_ZH: Mapping[str, Said] = {
    "config_ok": Said("{file} 可用，站点号 {site}"),
    "config_missing": Said("找不到 {file}", "把样例 {sample} 复制到该位置，填写本站点的信息"),
    "config_wrong": Said("{problem}", "改正该行后再运行一次"),
    "password_ok": Said("可读取"),
    "password_none": Said("未配置密码：消息服务器须允许无密码连接", "如县里发了密码，存入文件并写入 broker.password_file"),
    "password_wrong": Said("{problem}", "把县里发的密码写在该文件第一行，并让监测程序的用户可读：{grant}"),
    "password_open": Said("{file} 任何用户都能读取", "{grant}"),
    "state_ok": Said("{folder} 可写，剩余 {free_mib} MiB"),
    "state_absent": Said("{folder} 还不存在，首次运行时建立"),
    "state_denied": Said("{folder}：{problem}", "用管理员身份再检查一次：{again}；仍不可写则把该目录交给监测程序的用户"),
    "state_owner": Said("{folder} 属于用户 {owner}，而不是 {wanted}", "chown -R {wanted}: {folder}"),
    "state_small": Said("{folder} 所在磁盘只剩 {free_mib} MiB，至少需要 {wanted_mib} MiB", "清理该磁盘"),
    "clock_ok": Said("与网站的时间相差 {offset_s} 秒"),
    "clock_unsure": Said("没有可比较的时间来源；本机时间 {here}"),
    "clock_old": Said("本机时间 {here} 早于本程序的发布日期", "主板电池可能没电：更换电池并校准时间；程序会自行修正上报的时间"),
    "clock_off": Said("与网站的时间相差 {offset_s} 秒", "校准时间并开启自动对时"),
    "ping_ok": Said("可用，方式：{method}"),
    "ping_none": Said("不能发送 ping：改用 TCP 判断，准确性较低", "{grant}"),
    "tools_ok": Said("{found}"),
    "tools_missing": Said("没有 {missing}", "需要时安装（{packages}）；没有也能运行"),
    "names_ok": Said("{host} → {address}（{ms} 毫秒）"),
    "names_fail": Said("{host}：{reason}", "检查电脑的 DNS 设置和网线；地址写错时改正配置"),
    "broker_agent": Said("监测程序正连着 {broker}"),
    "broker_ok": Said("已登录 {broker}，站点 {site}，连接已加密"),
    "broker_open": Said("已登录 {broker}，站点 {site}，但连接未加密", "除本机演示外都要加密：按 broker.tls 的说明配置"),
    "broker_name": Said("{broker}：找不到这个名字", "检查 broker.host 是否写对，以及本机 DNS"),
    "broker_refused": Said("{broker} 拒绝连接", "检查 broker.port；端口正确时请县里确认服务器在运行"),
    "broker_timeout": Said("{broker} 没有回应", "检查网线与外网；防火墙要放行到该端口的外出连接"),
    "broker_tls": Said("{broker} 的证书不被信任：{detail}", "检查 broker.tls.ca_file 是否是县里发的证书；再检查本机时间"),
    "broker_ca": Said("broker.tls.ca_file：{detail}", "把县里发的 CA 证书（PEM 格式）放到该位置，并让监测程序的用户可读"),
    "broker_plain": Said("{broker} 不能建立加密连接：{detail}", "检查端口：加密一般用 8883；路由器或上网认证页也会这样"),
    "broker_login": Said(
        "{broker} 不接受站点 {site} 的密码，或该站点未登记", "核对密码文件第一行；仍不行请县里登记站点、重发密码"
    ),
    "broker_topics": Said("{broker} 已登录，但不允许站点 {site} 使用其主题", "核对 site 与 area；请县里更新消息服务器的权限表"),
    "broker_other": Said("{broker}：{detail}", "把这一行告诉县里的技术员"),
    "portal_ok": Said("{host} 正常（{ms} 毫秒）"),
    "portal_fail": Said("{host}：{reason}", "运行 sitekeeper-agent check 看是哪一环节的故障"),
    "agent_runs": Said("正在运行"),
    "agent_off": Said("没有在运行", "{start}"),
}

_EN: Mapping[str, Said] = {
    "config_ok": Said("{file} is good, site {site}"),
    "config_missing": Said("{file} is not there", "copy the sample {sample} there and write in this site's own values"),
    "config_wrong": Said("{problem}", "mend that line, then run this again"),
    "password_ok": Said("can be read"),
    "password_none": Said(
        "none is set: the broker must let this site in without", "if the county gave one, set broker.password_file"
    ),
    "password_wrong": Said(
        "{problem}", "put the county's password on the first line of that file, readable by the agent's user: {grant}"
    ),
    "password_open": Said("every user of this PC can read {file}", "{grant}"),
    "state_ok": Said("{folder} takes files, {free_mib} MiB are free"),
    "state_absent": Said("{folder} is not there yet; the first run makes it"),
    "state_denied": Said(
        "{folder}: {problem}", "check again as administrator: {again}; if it still fails, give the folder to the agent's user"
    ),
    "state_owner": Said("{folder} belongs to {owner}, not to {wanted}", "chown -R {wanted}: {folder}"),
    "state_small": Said("only {free_mib} MiB are free beside {folder}; at least {wanted_mib} are needed", "clear that disk"),
    "clock_ok": Said("{offset_s} s from the portal's"),
    "clock_unsure": Said("nothing to compare it with; it shows {here}"),
    "clock_old": Said(
        "it shows {here}, before this program was made",
        "the battery on the main board may be dead: replace it and set the clock; the agent corrects what it reports meanwhile",
    ),
    "clock_off": Said("{offset_s} s from the portal's", "set the clock, and let it be kept by network time"),
    "ping_ok": Said("works, by {method}"),
    "ping_none": Said("nothing here may ping: TCP is used instead, which tells less", "{grant}"),
    "tools_ok": Said("{found}"),
    "tools_missing": Said("no {missing}", "install what you want of it ({packages}); the agent runs without"),
    "names_ok": Said("{host} is {address} ({ms} ms)"),
    "names_fail": Said("{host}: {reason}", "check cable and DNS settings; if the name is wrong, mend the configuration"),
    "broker_agent": Said("the running agent is connected to {broker}"),
    "broker_ok": Said("logged in to {broker} as {site}, encrypted"),
    "broker_open": Said("logged in to {broker} as {site}, but not encrypted", "encrypt it, except in a demo: see broker.tls"),
    "broker_name": Said("{broker}: there is no such name", "check broker.host, and this PC's DNS"),
    "broker_refused": Said("{broker} refuses the connection", "check broker.port; if it is right, ask whether the broker runs"),
    "broker_timeout": Said("{broker} does not answer", "check the line; a firewall must let connections out to that port"),
    "broker_tls": Said(
        "the certificate of {broker} is not trusted: {detail}",
        "broker.tls.ca_file must be the county's certificate; then check this PC's clock",
    ),
    "broker_ca": Said(
        "broker.tls.ca_file: {detail}", "put the county's CA certificate (PEM) there, readable by the agent's user"
    ),
    "broker_plain": Said(
        "{broker} makes no encrypted connection: {detail}",
        "check the port, with encryption usually 8883; routers and login pages look like this, too",
    ),
    "broker_login": Said(
        "{broker} refuses the password of site {site}, or does not know the site",
        "compare the first line of the password file; else ask the county to enrol the site and send a new password",
    ),
    "broker_topics": Said(
        "{broker} lets {site} in, but not use its topics", "check site and area; else the county must renew the broker's rules"
    ),
    "broker_other": Said("{broker}: {detail}", "tell the county's technician this line"),
    "portal_ok": Said("{host} answers ({ms} ms)"),
    "portal_fail": Said("{host}: {reason}", "sitekeeper-agent check shows which rung fails"),
    "agent_runs": Said("runs"),
    "agent_off": Said("does not run", "{start}"),
}

WORDS: Mapping[Lang, Mapping[str, Said]] = {"zh": _ZH, "en": _EN}

SUMMARY: Mapping[Lang, tuple[str, str]] = {
    "zh": ("没有发现问题。", "发现 {count} 个问题，按上面 → 后的办法处理后再运行一次。"),
    "en": ("Nothing is wrong.", "{count} found wrong: do what stands behind →, then run this again."),
}
