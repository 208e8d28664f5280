"""The SMTP server for tests: what it keeps and how it misbehaves."""

import smtplib
import socket
import threading
from contextlib import suppress
from email.message import EmailMessage

import pytest

from tests.support.smtp import SmtpServer, links_in, text_of


def send(smtp: SmtpServer, to: str = "anna@example.com", subject: str = "Hello", timeout: float = 5) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "auth@example.com", to, subject
    message.set_content("Grüße: read https://example.com/read?token=abc_-1 soon.\n")
    message.add_alternative("<p>Grüße</p>", subtype="html")
    with smtplib.SMTP(smtp.host, smtp.port, timeout=timeout) as client:
        client.send_message(message)


def send_three(smtp: SmtpServer) -> None:
    for number in range(3):
        send(smtp, subject=str(number))


def ended(line: socket.socket) -> bool:
    """Read to the end, which came by a close or by a reset."""
    with suppress(ConnectionError):
        while line.recv(65536):
            pass
    return True


def test_a_mail_is_kept_and_parsed(smtp: SmtpServer) -> None:
    send(smtp)

    mail = smtp.wait_for("anna@example.com", subject="hello")

    assert mail["Subject"] == "Hello"
    assert mail["Delivered-To"] == "anna@example.com"
    assert text_of(mail).startswith("Grüße: read")
    assert links_in(mail) == ["https://example.com/read?token=abc_-1"]


def test_waiting_sees_the_mail_come(smtp: SmtpServer) -> None:
    sender = threading.Thread(target=send_three, args=[smtp])
    sender.start()

    third = smtp.wait_for("ANNA@example.com", count=3)

    sender.join()
    assert third["Subject"] == "2"


async def test_waiting_does_not_block_the_loop(smtp: SmtpServer) -> None:
    sender = threading.Thread(target=send, args=[smtp])
    sender.start()

    mail = await smtp.wait_for_async("anna@example.com")

    sender.join()
    assert mail["To"] == "anna@example.com"


def test_waiting_in_vain_tells_what_came(smtp: SmtpServer) -> None:
    send(smtp, to="bert@example.com")

    with pytest.raises(TimeoutError, match=r"bert@example\.com"):
        smtp.wait_for("anna@example.com", timeout=0.05)


@pytest.mark.parametrize(("mode", "code"), [("reject", 550), ("tempfail", 451)])
def test_a_recipient_is_refused(smtp: SmtpServer, mode: str, code: int) -> None:
    smtp.set_mode("reject" if mode == "reject" else "tempfail")

    with pytest.raises(smtplib.SMTPRecipientsRefused) as refusal:
        send(smtp)

    assert refusal.value.recipients["anna@example.com"][0] == code
    assert smtp.messages == []


def test_slow_takes_the_mail_and_answers_late(smtp: SmtpServer) -> None:
    smtp.set_mode("slow", seconds=30)

    with pytest.raises((TimeoutError, smtplib.SMTPServerDisconnected)):
        send(smtp, timeout=0.2)

    assert len(smtp.sent_to("anna@example.com")) == 1


def test_half_open_says_nothing(smtp: SmtpServer) -> None:
    smtp.set_mode("half_open")

    with pytest.raises(smtplib.SMTPServerDisconnected, match="timed out"):
        send(smtp, timeout=0.2)

    smtp.wait_for_connections(1)
    smtp.set_mode("ok")
    send(smtp)
    assert smtp.sent_to("anna@example.com")


def test_drop_reads_the_mail_and_hangs_up(smtp: SmtpServer) -> None:
    smtp.set_mode("drop")

    with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
        send(smtp)

    assert smtp.messages == []
    assert len(smtp.dropped) == 1


def test_stopped_it_refuses_and_breaks_and_starts_on_the_same_port(smtp: SmtpServer) -> None:
    with socket.create_connection((smtp.host, smtp.port), timeout=5) as line:
        assert line.recv(3) == b"220"
        smtp.stop()
        assert ended(line)

    with pytest.raises(ConnectionRefusedError):
        send(smtp)
    smtp.start()
    send(smtp)
    assert smtp.sent_to("anna@example.com")


def test_each_test_finds_it_empty(smtp: SmtpServer) -> None:
    assert (smtp.messages, smtp.dropped, smtp.mode, smtp.connections) == ([], [], "ok", 0)
