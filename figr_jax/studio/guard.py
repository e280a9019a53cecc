"""Access control of the studio's server: host, origin, token, request size."""

import ipaddress
import secrets
import socket
from urllib.parse import urlsplit

from starlette import requests, responses
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException

MAX_BODY = 2**23  # bytes
LOCAL = ("localhost", "127.0.0.1", "::1")
_TOO_LARGE = (
    f"the request is larger than {MAX_BODY:,} bytes; send fewer or smaller images"
)
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def is_local(host):
    """Returns whether only this machine can reach a server listening on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in LOCAL


def own_names():
    """Returns the address and the host name of this machine."""
    names = [socket.gethostname()]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # a test address; nothing is sent
        except OSError:
            return names
        return [probe.getsockname()[0], *names]


def refuse(status, message):
    """Makes an error response with a message of one line."""
    return responses.JSONResponse({"error": message}, status)


class Guard:
    """ASGI middleware that checks host, origin, token and size of each request."""

    def __init__(self, app, hosts, token):
        """Wraps an ASGI application, see `server.make_app`."""
        self._app, self._token = app, token
        self._hosts = {name.strip("[]").lower() for name in hosts}
        self._public = self._hosts - set(LOCAL)

    async def __call__(self, scope, receive, send):
        """Handles an ASGI call."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = requests.Request(scope)
        refusal = self._find_fault(request)
        taken = 0

        async def bounded():
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > MAX_BODY:
                raise HTTPException(413, _TOO_LARGE)
            return message

        async def with_headers(message):
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                knows = self._token and refusal is None
                if knows and request.query_params.get("token"):
                    cookie = f"token={self._token}; HttpOnly; SameSite=Strict; Path=/"
                    headers["Set-Cookie"] = cookie
            await send(message)

        await (refusal or self._app)(scope, bounded, with_headers)

    def _is_ours(self, origin, host):
        """Returns whether a page of this origin may send requests.

        Its origin must be this server or a name of `--allow_host`, as behind a proxy or
        a forwarded port.
        """
        try:
            page = urlsplit(origin)
            return page.netloc == host.netloc or page.hostname in self._public
        except ValueError:
            return False

    def _find_fault(self, request):
        """Returns the refusal of a request, or None if it is allowed."""
        try:
            host = urlsplit(f"//{request.headers.get('host', '')}")
            name = host.hostname or ""
        except ValueError:
            return refuse(400, "the Host header is invalid")
        if name not in self._hosts:
            return refuse(421, f"unknown host {name!r}; add it with --allow_host")
        origin = request.headers.get("origin")
        if origin and not self._is_ours(origin, host):
            return refuse(
                403, "requests from other sites are refused; see --allow_host"
            )
        if int(request.headers.get("content-length") or 0) > MAX_BODY:
            return refuse(413, _TOO_LARGE)
        if self._token:
            authorization = request.headers.get("authorization", "")
            given = (
                authorization.removeprefix("Bearer "),
                request.cookies.get("token", ""),
                request.query_params.get("token", ""),
            )
            if not any(
                secrets.compare_digest(x.encode(), self._token.encode()) for x in given
            ):
                return refuse(
                    401,
                    "the token is missing or wrong; open the address that was printed",
                )
        return None
