"""The person's consent, given on Harvest's page: in this machine's browser, or in any other.

Belongs here: showing the address, opening the browser, and getting the answer from there.
Does not belong here: whether the answer is genuine (harvest/oauth.py), listening (callback.py).
"""

import os
import sys
import threading
import webbrowser
from collections.abc import Generator
from contextlib import contextmanager

from harvest_pipeline.connect import callback
from harvest_pipeline.connect.terminal import Terminal
from harvest_pipeline.harvest.oauth import Authorization

_NOTHING_PASTED = "No address was pasted, so nothing is connected; run the command again."


@contextmanager
def code_by_browser(authorization: Authorization, port: int, terminal: Terminal) -> Generator[str]:
    """The code; what becomes of it in the block is told on a page in the browser.

    Raises AuthorizationRefused, AuthorizationInvalid, and SettingsError if the port is taken.
    """
    with callback.Callback(port) as listening:
        terminal.tell(
            "Allow the access in your browser. If it does not open by itself, open this address:"
            f"\n\n{authorization.url}\n\nWaiting for five minutes at most; Ctrl-C stops. (With a "
            "browser on another machine: stop, and give --no-browser.)"
        )
        _open(authorization.url)
        with listening.redirect(callback.LIMIT_SECONDS) as redirect:
            terminal.before_asking = redirect.go_on_in_terminal
            yield authorization.code_from(redirect.address)


def pasted_code(authorization: Authorization, terminal: Terminal) -> str:
    """The code in an address that the person copies from a browser, on whatever machine.

    Raises AuthorizationRefused, AuthorizationInvalid, and SettingsError if nothing is pasted.
    """
    terminal.tell(
        f"Open this address in a browser, and allow the access:\n\n{authorization.url}\n\n"
        f"The browser then goes to {authorization.redirect_uri}?… and shows that nobody answers "
        "there.\nCopy that whole address and paste it here:"
    )
    return authorization.code_from(terminal.piped(_NOTHING_PASTED))


def _open(url: str) -> None:
    """Open the browser of the desktop, if there is one; one in the terminal would be in the way."""
    windows = sys.platform in ("win32", "darwin")
    if windows or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))):
        # Some browsers keep the caller waiting until their window is closed.
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
