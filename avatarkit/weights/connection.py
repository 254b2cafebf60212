"""One connection to a server, and what can be wrong with it."""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import IO
from urllib.parse import urlsplit

from avatarkit import __version__
from avatarkit.weights.errors import DownloadError


class Broken(Exception):
    """A connection failed or ended early; another may go on."""


def host(url: str) -> str:
    """The server's name in an address."""
    return urlsplit(url).netloc


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from an encrypted address to one that anybody on the way can change."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            answer = "with a redirect to an unencrypted address"
            raise urllib.error.HTTPError(req.full_url, code, answer, headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def connect(url: str, headers: Mapping[str, str], silence_s: float) -> http.client.HTTPResponse:
    """Ask for an address, following redirects; a silence of `silence_s` seconds ends the connection.

    Raises:
        urllib.error.HTTPError: the server answers something else than the file.
        DownloadError: its certificate cannot be trusted.
        Broken: it cannot be reached.
    """
    request = urllib.request.Request(
        url, headers={"User-Agent": f"avatarkit/{__version__}", "Accept-Encoding": "identity", **headers}
    )
    try:
        response: http.client.HTTPResponse = urllib.request.build_opener(_Redirects).open(
            request, timeout=silence_s
        )
    except urllib.error.HTTPError:
        raise
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            answer = f"shows a certificate that cannot be trusted ({reason.verify_message})"
            raise DownloadError(answer) from error
        raise Broken(network_text(reason, silence_s)) from error
    return response


def network_text(error: object, silence_s: float) -> str:
    """What an error of the network means, to follow the server's name."""
    if isinstance(error, TimeoutError):
        return f"sent nothing for {silence_s:g} s"
    if isinstance(error, ConnectionRefusedError | ConnectionResetError | ConnectionAbortedError):
        return f"is not reachable or broke off ({error.strerror or error})"
    return f"cannot be reached ({getattr(error, 'strerror', None) or error})"
