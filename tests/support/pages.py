"""A browser without a screen: cookies, redirects by hand, forms with their token. Over a real socket to a real server."""

import http.client
import re
import urllib.parse
from typing import NamedTuple


class Page(NamedTuple):
    """An answer."""

    status: int
    headers: dict[str, str]
    text: str


class Visitor:
    """Keeps cookies, and sends the token against forged requests with each form unless told not to."""

    def __init__(self, port: int, **headers: str) -> None:
        self._port, self._headers = port, headers
        self.cookies: dict[str, str] = {}

    def get(self, path: str, **headers: str) -> Page:
        return self._ask("GET", path, None, headers)

    def post(self, path: str, *, forged: bool = False, **fields: str) -> Page:
        if not forged:
            shown = re.search(r'name="_csrf_token" value="([^"]+)"', self.get("/login").text)
            assert shown is not None, "the page has no token"
            fields["_csrf_token"] = shown[1]
        return self._ask("POST", path, urllib.parse.urlencode(fields), {"content-type": "application/x-www-form-urlencoded"})

    def sign_in(self, password: str, user: str = "admin") -> Page:
        return self.post("/login", user=user, password=password)

    def _ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Page:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            cookies = {"cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}
            connection.request(method, path, body, self._headers | cookies | headers)
            answer = connection.getresponse()
            for name, value in answer.getheaders():
                if name.lower() == "set-cookie":
                    key, _, rest = value.partition("=")
                    self.cookies[key] = rest.partition(";")[0]
            told = {name.lower(): value for name, value in answer.getheaders()}
            return Page(answer.status, told, answer.read().decode())
        finally:
            connection.close()
