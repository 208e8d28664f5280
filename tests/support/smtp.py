"""A real SMTP server that keeps what it is sent, and misbehaves when asked to."""

import asyncio
import re
import threading
from email import message_from_bytes, policy
from email.message import EmailMessage
from types import TracebackType
from typing import Any, Literal, Self, cast

from aiosmtpd.smtp import SMTP

from tests.support.processes import free_port
from tests.support.threads import LoopThread

Mode = Literal["ok", "reject", "tempfail", "slow", "half_open", "drop"]
_REFUSALS = {"reject": "550 5.1.1 no such mailbox", "tempfail": "451 4.3.0 try again later"}


class SmtpServer:
    """Each message carries its envelope's recipients in `Delivered-To`, as a mailbox's would."""

    def __init__(self) -> None:
        self.host, self.port = "127.0.0.1", free_port()
        self.mode: Mode = "ok"
        self.messages: list[EmailMessage] = []
        self.dropped: list[EmailMessage] = []  # received in mode "drop": the sender was never answered
        self.connections = 0
        self._slowness = 0.0
        self._changed = threading.Condition()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Transport] = set()
        self._thread = LoopThread("smtp")
        self.start()

    def start(self) -> None:
        self._thread.run(self._start())

    def stop(self) -> None:
        """Refuse connections and break those that are open; `start()` listens on the same port again."""
        self._thread.run(self._stop())

    def close(self) -> None:
        self.stop()
        self._thread.close()

    def set_mode(self, mode: Mode, *, seconds: float = 5.0) -> None:
        """ok; reject: 550 at RCPT; tempfail: 451 at RCPT; slow: takes the message, answers `seconds` later;
        half_open: takes new connections and says nothing; drop: reads DATA, then closes without an answer."""
        self.mode, self._slowness = mode, seconds

    def clear(self) -> None:
        """As new: no messages, mode ok."""
        self.set_mode("ok")
        with self._changed:
            self.messages.clear()
            self.dropped.clear()
            self.connections = 0

    def sent_to(self, to: str, subject: str | None = None) -> list[EmailMessage]:
        """What this address has received so far; `subject` is a part of the subject."""
        with self._changed:
            return self._matching(to, subject)

    def wait_for(self, to: str, count: int = 1, subject: str | None = None, timeout: float = 10) -> EmailMessage:
        """Wait until `count` messages have reached this address, and return the last of them."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._matching(to, subject)) >= count, timeout):
                seen = [(m["Delivered-To"], m["Subject"]) for m in self.messages]
                raise TimeoutError(f"not {count} mail(s) to {to} about {subject!r} in {timeout} s, only {seen}")
            return self._matching(to, subject)[count - 1]

    async def wait_for_async(self, to: str, count: int = 1, subject: str | None = None, timeout: float = 10) -> EmailMessage:
        return await asyncio.to_thread(self.wait_for, to, count, subject, timeout)

    def wait_for_connections(self, count: int, timeout: float = 10) -> None:
        """Wait until that many connections have been made since the last `clear`."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.connections >= count, timeout):
                raise TimeoutError(f"{self.connections} connection(s) in {timeout} s, not {count}")

    def _matching(self, to: str, subject: str | None) -> list[EmailMessage]:
        return [
            message
            for message in self.messages
            if to.lower() in message["Delivered-To"].lower().split(", ")
            and (subject is None or subject.lower() in str(message["Subject"]).lower())
        ]

    def _received(self, content: bytes, recipients: list[str]) -> None:
        message = message_from_bytes(content, policy=policy.default)
        message["Delivered-To"] = ", ".join(recipients)
        with self._changed:
            (self.dropped if self.mode == "drop" else self.messages).append(message)
            self._changed.notify_all()

    def _connected(self, transport: asyncio.Transport) -> None:
        self._open.add(transport)
        with self._changed:
            self.connections += 1
            self._changed.notify_all()

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Mute(self) if self.mode == "half_open" else _Conversation(self), self.host, self.port
        )

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for transport in list(self._open):
                transport.abort()
            await self._server.wait_closed()
            while self._open:
                await asyncio.sleep(0)
            self._server = None

    # aiosmtpd's handler

    async def handle_RCPT(  # noqa: N802 -- the name aiosmtpd calls
        self, conversation: SMTP, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if self.mode in _REFUSALS:
            return _REFUSALS[self.mode]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, conversation: SMTP, session: Any, envelope: Any) -> str:  # noqa: N802 -- the name aiosmtpd calls
        self._received(envelope.content, envelope.rcpt_tos)
        if self.mode == "drop":
            cast(asyncio.Transport, conversation.transport).abort()
            await asyncio.Event().wait()  # cancelled when the connection is gone
        if self.mode == "slow":
            await asyncio.sleep(self._slowness)
        return "250 OK"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


class _Conversation(SMTP):
    def __init__(self, owner: SmtpServer) -> None:
        super().__init__(owner, hostname="localhost", enable_SMTPUTF8=True, loop=asyncio.get_running_loop())
        self._owner = owner

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._mine = cast(asyncio.Transport, transport)
        self._owner._connected(self._mine)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._owner._open.discard(self._mine)


class _Mute(asyncio.Protocol):
    def __init__(self, owner: SmtpServer) -> None:
        self._owner = owner

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._mine = cast(asyncio.Transport, transport)
        self._owner._connected(self._mine)

    def connection_lost(self, error: Exception | None) -> None:
        self._owner._open.discard(self._mine)


def text_of(message: EmailMessage) -> str:
    """The plain text of a message."""
    part = message.get_body(("plain", "html"))
    assert part is not None
    return str(part.get_content())


def links_in(message: EmailMessage) -> list[str]:
    """The addresses a reader can click, in order."""
    return re.findall(r"https?://[^\s<>\"')]+", text_of(message))
