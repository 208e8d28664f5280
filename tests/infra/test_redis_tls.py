"""Redis behind TLS (rediss://): asked as without it, and not at all if its certificate is not one to trust."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.infra.liar import answered, asking, liar, values
from tests.support.proxy import TcpProxy
from tests.support.redis import RedisServer

DAY = timedelta(days=1)


class Authority:
    """A certificate authority of the tests' own, in files of a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.file = folder / f"{name}.pem"
        certificate = self._builder(self._name, self._key.public_key(), datetime.now(UTC) + DAY)
        certificate = certificate.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        certificate = certificate.add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
        usage = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"),
            False,
        )
        certificate = certificate.add_extension(
            x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True, **usage), critical=True
        )
        self.file.write_bytes(certificate.sign(self._key, SHA256()).public_bytes(Encoding.PEM))

    def server(self, *names: x509.GeneralName, until: datetime | None = None) -> ssl.SSLContext:
        """What a server needs that has these names."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "redis")])
        certificate = self._builder(subject, key.public_key(), until or datetime.now(UTC) + DAY)
        certificate = certificate.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = certificate.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
        )
        both = self._folder / f"{x509.random_serial_number()}.pem"
        both.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            + certificate.sign(self._key, SHA256()).public_bytes(Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(both)
        return context

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, until: datetime) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder(issuer_name=self._name, subject_name=subject, public_key=key)
        builder = builder.serial_number(x509.random_serial_number())
        return builder.not_valid_before(until - 30 * DAY).not_valid_after(until)


LOCALHOST = (x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1")))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


@asynccontextmanager
async def terminating(server: RedisServer, tls: ssl.SSLContext) -> AsyncIterator[int]:
    """TLS in front of a Redis that has none; the port."""
    pumps: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
        except OSError:
            return
        finally:
            writer.close()

    async def link(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", server.port)
        pumps.update({asyncio.create_task(pump(reader, far_writer)), asyncio.create_task(pump(far_reader, writer))})

    listening = await asyncio.start_server(link, "127.0.0.1", 0, ssl=tls)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        await asyncio.wait_for(asyncio.gather(*pumps), 10)
        await listening.wait_closed()


async def test_a_real_redis_behind_tls_is_asked_with_password_and_database(
    authority: Authority, private_redis: RedisServer
) -> None:
    with private_redis.connect() as client:
        client.select(2)
        client.mset({f"k{number}": "1" for number in range(0, 2000, 2)})
        client.config_set("requirepass", "word")
    async with terminating(private_redis, authority.server(*LOCALHOST)) as port:
        for host in ("localhost", "127.0.0.1"):
            url = f"rediss://:word@{host}:{port}/2?ssl_ca_certs={authority.file}"
            async with asking(url, 5.0) as asker:
                found = await answered([asker.asks.holds_any([f"k{number}"]) for number in range(2000)])
                assert found == [number % 2 == 0 for number in range(2000)]
                assert [await asker.ask("k0"), await asker.ask("k1")] == [True, False]
                assert asker.told == []


async def test_a_certificate_that_is_not_to_be_trusted_is_no_answer(authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path, "others")
    elsewhere = authority.server(x509.DNSName("redis.example.com"))
    expired = authority.server(*LOCALHOST, until=datetime.now(UTC) - DAY)
    for tls in (other.server(*LOCALHOST), elsewhere, expired):
        async with liar({"a"}, tls) as it, asking(f"rediss://localhost:{it.port}/0?ssl_ca_certs={authority.file}", 5.0) as asker:
            assert await answered([asker.asks.holds_any(["a"]) for _ in range(3)]) == [False] * 3
            assert [type(error) for error in asker.told] == [ssl.SSLCertVerificationError]
            assert it.asked == []


async def test_who_speaks_no_tls_gets_no_password(authority: Authority) -> None:
    async with liar({"a"}) as it, asking(f"rediss://:word@localhost:{it.port}/0?ssl_ca_certs={authority.file}", 0.4) as asker:
        assert await asker.ask("a") is False
        assert len(asker.told) == 1
        assert not any("word" in str(talk.commands) for talk in it.talks)
    async with liar({"a"}, authority.server(*LOCALHOST)) as it, asking(f"redis://localhost:{it.port}/0", 0.4) as asker:
        assert await asker.ask("a") is False
        assert len(asker.told) == 1


async def test_a_handshake_that_never_ends_is_given_up_in_time(authority: Authority, redis_server: RedisServer) -> None:
    with TcpProxy(redis_server.port) as line:
        line.partition()
        async with asking(f"rediss://localhost:{line.port}/0?ssl_ca_certs={authority.file}", 0.3) as asker:
            assert await answered([asker.asks.holds_any(["a"]) for _ in range(3)]) == [False] * 3
            assert [type(error) for error in asker.told] == [TimeoutError]


@pytest.mark.promise("P2")
async def test_a_late_answer_over_tls_answers_no_other_question(authority: Authority) -> None:
    async with (
        liar((), authority.server(*LOCALHOST)) as it,
        asking(f"rediss://localhost:{it.port}/0?ssl_ca_certs={authority.file}", 0.5) as asker,
    ):

        async def say_nothing(*_: object) -> None: ...

        it.say = say_nothing
        assert await asker.ask("first") is False
        second = asker.asks.holds_any(["second"])
        await it.heard(2)
        it.talks[0].say(values([False]))
        for _ in range(3):
            await asyncio.sleep(0)
        it.talks[1].say(values([True]))
        assert await answered([second]) == [True]
