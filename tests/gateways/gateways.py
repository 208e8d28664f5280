"""The gateways of deploy/gateways as processes: each example file as it is, but for its addresses."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.processes import ROOT, free_port, reap_if_we_die, wait_until

EXAMPLES = ROOT / "deploy" / "gateways"
START_SECONDS = 30


@dataclass(frozen=True)
class Ports:
    gateway: int
    authkeep: int
    application: int


@dataclass(frozen=True)
class Gateway:
    """How to start one: the example's changed text goes into a folder, and `command` runs there."""

    name: str
    program: str
    write: Callable[[Path, Ports], list[str]]

    def find(self) -> str | None:
        """The program; Debian keeps nginx where only root's PATH leads."""
        return shutil.which(self.program, path=f"{os.environ['PATH']}:/usr/sbin")

    @contextmanager
    def running(self, folder: Path, ports: Ports) -> Iterator[None]:
        command = [self.find() or self.program, *self.write(folder, ports)]
        env = {"PATH": os.environ["PATH"], "HOME": str(folder)}
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True)
        reap_if_we_die(process.pid)
        try:
            wait_until(lambda: process.poll() is not None or _listens(ports.gateway), f"{self.name} listens", START_SECONDS)
            assert process.poll() is None, (folder / "log").read_text()
            yield
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(START_SECONDS)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def changed(example: str, *changes: tuple[str, str]) -> str:
    """An example's text with the test's addresses; each must be in it."""
    text = (EXAMPLES / example).read_text()
    for before, after in changes:
        assert before in text, f"{example}: {before}"
        text = text.replace(before, after)
    return text


def addresses(ports: Ports, before: str = "127.0.0.1:") -> list[tuple[str, str]]:
    """Of Authkeep and of the application, as the examples have them."""
    return [(f"{before}8000", f"{before}{ports.authkeep}"), (f"{before}9000", f"{before}{ports.application}")]


NGINX_MAIN = """
daemon off;
pid nginx.pid;
error_log stderr;
worker_processes 1;
{user}
events {{}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include authkeep.conf;
}}
"""


def write_nginx(folder: Path, ports: Ports) -> list[str]:
    text = changed("nginx/authkeep.conf", ("listen 443 ssl;", f"listen 127.0.0.1:{ports.gateway};"), *addresses(ports))
    lines = [line for line in text.splitlines() if not line.strip().startswith("ssl_")]
    (folder / "authkeep.conf").write_text("\n".join(lines))
    user = "user root;" if os.getuid() == 0 else ""  # else its workers may not write where pytest lets only us
    (folder / "nginx.conf").write_text(NGINX_MAIN.format(user=user))
    return ["-e", "stderr", "-p", str(folder), "-c", "nginx.conf"]


def write_caddy(folder: Path, ports: Ports) -> list[str]:
    text = changed("caddy/Caddyfile", ("app.example.org {", f"http://app.example.org:{ports.gateway} {{"), *addresses(ports))
    (folder / "Caddyfile").write_text("{\n\tadmin off\n}\n" + text)
    return ["run", "--config", "Caddyfile", "--adapter", "caddyfile"]


def write_envoy(folder: Path, ports: Ports) -> list[str]:
    listen = ("address: 0.0.0.0, port_value: 8443", f"address: 127.0.0.1, port_value: {ports.gateway}")
    text = changed("envoy/envoy.yaml", listen, *addresses(ports, "address: 127.0.0.1, port_value: "))
    (folder / "envoy.yaml").write_text(text)
    return ["-c", "envoy.yaml", "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning"]


def write_traefik(folder: Path, ports: Ports) -> list[str]:
    static = changed("traefik/traefik.yaml", ('address: ":443"', f'address: "127.0.0.1:{ports.gateway}"'), ("tls: {}", ""))
    (folder / "traefik.yaml").write_text(static)
    (folder / "dynamic.yaml").write_text(changed("traefik/dynamic.yaml", *addresses(ports)))
    return ["--configFile=traefik.yaml"]


NGINX = Gateway("nginx", "nginx", write_nginx)


def needs(gateway: Gateway) -> None:
    """Skip the whole file where the program is not installed."""
    if gateway.find() is None:
        pytest.skip(f"{gateway.program} is not installed", allow_module_level=True)


def new_ports() -> Ports:
    return Ports(free_port(), free_port(), free_port())


CADDY = Gateway("caddy", "caddy", write_caddy)
ENVOY = Gateway("envoy", "envoy", write_envoy)
TRAEFIK = Gateway("traefik", "traefik", write_traefik)
