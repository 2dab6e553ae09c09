"""A mail server over real sockets that keeps what it is given, or refuses it as told.

Belongs here: as much of SMTP as a client needs: EHLO, STARTTLS, AUTH PLAIN, MAIL, RCPT, DATA, QUIT.
Does not belong here: delivering anything.
"""

import base64
import contextlib
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from types import TracebackType
from typing import BinaryIO, Self

Answer = str | tuple[str, ...]


@dataclass
class MailServer:
    """Listens on a free loopback port.

    `tls` makes it offer STARTTLS, with `implicit` speak TLS from the first byte. `account` is the
    user and the password that it asks for. `refused` are addresses that it does not take. `silent`
    says nothing at all. `mails` are the messages that came, `secure` whether each came over TLS,
    `received` every byte that came before TLS, and inside of it.
    """

    tls: ssl.SSLContext | None = None
    implicit: bool = False
    account: tuple[str, str] | None = None
    refused: tuple[str, ...] = ()
    silent: bool = False
    mails: list[EmailMessage] = field(default_factory=list)
    secure: list[bool] = field(default_factory=list)
    received: bytes = b""

    def __post_init__(self) -> None:
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
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        if self.silent:
            time.sleep(5)
        with contextlib.suppress(OSError, ValueError), connection:
            if self.implicit and self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            connection.sendall(b"220 mail.example.com\r\n")
            while self._talk(connection):
                assert self.tls
                connection = self.tls.wrap_socket(connection, server_side=True)

    def _talk(self, connection: socket.socket) -> bool:
        """Answer one command after the other; whether TLS begins now."""
        lines: BinaryIO = connection.makefile("rb", buffering=0)
        signed_in = self.account is None
        while line := self._line(lines):
            command = line.split(b" ", 1)[0].upper()
            answer: Answer = "250 ok"
            if command == b"EHLO":
                plain = bool(self.tls) and not isinstance(connection, ssl.SSLSocket)
                answer = ("mail", *(["STARTTLS"] if plain else []), "AUTH PLAIN", "8BITMIME")
            elif command == b"STARTTLS":
                connection.sendall(b"220 go\r\n")
                return True
            elif command == b"AUTH":
                signed_in = self._accepts(line)
                answer = "235 ok" if signed_in else "535 wrong password for somebody: told-4711"
            elif command == b"MAIL" and not signed_in:
                answer = "530 sign in first"
            elif command == b"RCPT" and any(who.encode() in line for who in self.refused):
                answer = "550 no such person"
            elif command == b"DATA":
                connection.sendall(b"354 go on\r\n")
                self._keep(lines, isinstance(connection, ssl.SSLSocket))
            elif command == b"QUIT":
                connection.sendall(b"221 bye\r\n")
                return False
            connection.sendall(_written(answer))
        return False

    def _line(self, lines: BinaryIO) -> bytes:
        line = lines.readline()
        self.received += line
        return line.rstrip(b"\r\n")

    def _accepts(self, line: bytes) -> bool:
        _, user, password = base64.b64decode(line.split(b" ")[-1]).decode().split("\0")
        return (user, password) == self.account

    def _keep(self, lines: BinaryIO, secure: bool) -> None:
        body = b""
        while (line := self._line(lines)) != b".":
            body += line + b"\r\n"
        self.mails.append(message_from_bytes(body, EmailMessage, policy=policy.default))  # type: ignore[arg-type]
        self.secure.append(secure)


def _written(answer: Answer) -> bytes:
    if isinstance(answer, str):
        return f"{answer}\r\n".encode()
    *first, last = answer
    return "".join([*(f"250-{each}\r\n" for each in first), f"250 {last}\r\n"]).encode()
