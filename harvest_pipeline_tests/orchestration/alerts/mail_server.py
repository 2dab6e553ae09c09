"""A mail server over real sockets that keeps what it is given (AUTH PLAIN only)."""

import base64
import contextlib
import socket
import threading
from email import message_from_bytes, policy
from email.message import EmailMessage
from types import TracebackType
from typing import BinaryIO, Self


class MailServer:
    """Listens on a free loopback port and asks for the user and the password in `account`."""

    def __init__(self, account: tuple[str, str]) -> None:
        self.account = account
        self.mails: list[EmailMessage] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), connection:
            connection.sendall(b"220 mail.example.com\r\n")
            lines: BinaryIO = connection.makefile("rb", buffering=0)
            signed_in = False
            while line := lines.readline().rstrip(b"\r\n"):
                command, answer = line.split(b" ", 1)[0].upper(), b"250 ok"
                if command == b"EHLO":
                    answer = b"250-mail\r\n250 AUTH PLAIN"
                elif command == b"AUTH":
                    _, *account = base64.b64decode(line.split(b" ")[-1]).decode().split("\0")
                    signed_in = tuple(account) == self.account
                    # A server may repeat what it was given.
                    answer = b"235 ok" if signed_in else f"535 {account} is wrong".encode()
                elif command == b"MAIL" and not signed_in:
                    answer = b"530 sign in first"
                elif command == b"DATA":
                    connection.sendall(b"354 go on\r\n")
                    self._keep(lines)
                elif command == b"QUIT":
                    answer = b"221 bye"
                connection.sendall(answer + b"\r\n")

    def _keep(self, lines: BinaryIO) -> None:
        body = b""
        while (line := lines.readline().rstrip(b"\r\n")) != b".":
            body += line + b"\r\n"
        self.mails.append(message_from_bytes(body, EmailMessage, policy=policy.default))  # type: ignore[arg-type]
