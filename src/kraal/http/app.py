"""The HTTP front as an ASGI application: static files, and PHP through the pool."""

import asyncio
import ipaddress
import os
import sys

from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from kraal.errors import Error
from kraal.http.answer import Answer
from kraal.http.backend import Backend, Exchange
from kraal.http.body import Disconnected, open_body, wait_for_disconnect
from kraal.http.files import SiteFiles
from kraal.http.params import WebRequest, cgi_params
from kraal.http.routing import NotFound, Redirect, Route, Script, Static, route

LOCAL_PAGES = frozenset({"/status", "/ping"})

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:20vh auto;padding:0 1rem;
color-scheme:light dark}}</style>
<h1>{title}</h1><p>{text}</p></html>
"""


class Front:
    """The ASGI application for one site."""

    def __init__(self, root: str, backend: Backend) -> None:
        self._root = root
        self._backend = backend
        self._files = SiteFiles(root)
        self._static = StaticFiles(directory=root, follow_symlink=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(f"kraal serves HTTP, not {scope['type']}")
        found = self._route(scope)
        if isinstance(found, Script):
            await self._run(found, scope, receive, send)
        else:
            await self._response(found, scope)(scope, receive, send)

    def _route(self, scope: Scope) -> Route:
        local_pages = LOCAL_PAGES if _is_local(scope) else frozenset[str]()
        return route(scope["raw_path"], self._files, root=self._root, local_pages=local_pages)

    def _response(self, found: Static | Redirect | NotFound, scope: Scope) -> Response:
        match found:
            case Static():
                return self._file(found.path, scope)
            case Redirect():
                query = scope["query_string"].decode("latin-1")
                return RedirectResponse(found.location + (f"?{query}" if query else ""), status_code=301)
            case NotFound():
                return _page(404, "Not found", "There is no page at this address.")

    def _file(self, path: str, scope: Scope) -> Response:
        if scope["method"] not in ("GET", "HEAD"):
            response = _page(405, "Method not allowed", "A file can only be read.")
            response.headers["Allow"] = "GET, HEAD"
            return response
        try:
            os.close(os.open(path, os.O_RDONLY))
            return self._static.file_response(path, os.stat(path), scope)
        except PermissionError:
            return _page(403, "Forbidden", "The server may not read this file.")
        except OSError:
            return _page(404, "Not found", "The file has just gone.")

    # -- PHP --

    async def _run(self, script: Script, scope: Scope, receive: Receive, send: Send) -> None:
        answer = Answer(send, scope["method"])
        try:
            async with self._backend.connect() as exchange:
                await self._exchange(exchange, script, scope, receive, answer)
        except Disconnected:
            return
        except asyncio.CancelledError:
            return  # the front stops, and has waited long enough; the server closes the connection
        except (Error, OSError) as error:
            print(f"kraal: {script.script_name}: {error}", file=sys.stderr, flush=True)
            if not answer.started:
                page = _page(502, "Bad gateway", "PHP did not answer; the terminal of kraal says why.")
                await page(scope, receive, send)

    async def _exchange(
        self, exchange: Exchange, script: Script, scope: Scope, receive: Receive, answer: Answer
    ) -> None:
        """Send the request and pass the answer on, at the same time, until either is over."""
        request = _web_request(scope)
        length, body = await open_body(request, receive)
        params = cgi_params(request, script, document_root=self._root, content_length=length)

        async def ask() -> None:
            await exchange.send(params, body)
            await wait_for_disconnect(receive)
            raise Disconnected

        asking = asyncio.create_task(ask())
        answering = asyncio.create_task(answer.pass_on(exchange.events()))
        try:
            await asyncio.wait({asking, answering}, return_when=asyncio.FIRST_COMPLETED)
            await (answering if answering.done() else asking)
        finally:
            asking.cancel()
            answering.cancel()
            await asyncio.gather(asking, answering, return_exceptions=True)


def _web_request(scope: Scope) -> WebRequest:
    return WebRequest(
        method=scope["method"],
        target=scope["raw_path"],
        query=scope["query_string"],
        http_version=scope["http_version"],
        scheme=scope["scheme"],
        headers=scope["headers"],
        remote=tuple(scope["client"] or ("", 0)),
        local=tuple(scope["server"] or ("", 0)),
    )


def _is_local(scope: Scope) -> bool:
    """Whether the browser is on this machine: the pool's state is nobody else's business."""
    try:
        return ipaddress.ip_address((scope["client"] or ("",))[0]).is_loopback
    except ValueError:
        return False


def _page(status: int, title: str, text: str) -> Response:
    return HTMLResponse(_PAGE.format(title=title, text=text), status_code=status)
