"""Web addresses in the configuration: what is understood, and what is refused with a reason."""

import pytest

from sitekeeper_agent.probes import Portal, parse_portal
from sitekeeper_protocol.settings import SettingsError


@pytest.mark.parametrize(
    ("url", "portal"),
    [
        ("https://Portal.Example.cn", Portal("https", "portal.example.cn", 443, "/")),
        ("http://127.0.0.1:8080", Portal("http", "127.0.0.1", 8080, "/")),
        ("http://10.0.0.1/a/b?c=d#e", Portal("http", "10.0.0.1", 80, "/a/b?c=d")),
        ("https://[2001:db8::1]:8443/x", Portal("https", "2001:db8::1", 8443, "/x")),
        ("HTTP://portal.example.?q", Portal("http", "portal.example", 80, "/?q")),
    ],
)
def test_an_address_is_taken_apart(url: str, portal: Portal) -> None:
    assert parse_portal(url) == portal


def test_a_chinese_name_and_path_become_what_dns_and_http_carry() -> None:
    portal = parse_portal("https://例子.cn/课")
    assert (portal.host, portal.target) == ("xn--fsqu00a.cn", "/%E8%AF%BE")


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "portal.example.cn",
            "ftp://a",
            "http://",
            "http://a:0",
            "http://a:99999",
            "http://a:b",
            "http://[::1",
            "http://[x]",
        ),
        *("http://a..b", "http://" + "x" * 64, "http://u:p@a/", "http://a b/", "http://a/\r\nX: y", "https://[::1]80/"),
    ],
)
def test_anything_else_is_refused_with_a_reason(url: str) -> None:
    with pytest.raises(SettingsError):
        parse_portal(url)


def test_a_password_in_an_address_is_not_repeated_in_the_error() -> None:
    with pytest.raises(SettingsError) as caught:
        parse_portal("http://me:secret@portal/")
    assert "secret" not in str(caught.value)
