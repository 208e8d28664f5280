"""serve and worker: the server process and the worker process."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
import uvicorn
from uvicorn.supervisors import Multiprocess

from app.cli.setup import set_up
from app.config import Settings, SettingsError, load_settings
from app.core.logs import configure_logging
from app.sections import MOST_WORKERS

GRACE_SECONDS = 10
WAIT_SECONDS = 1.0


def serve(
    workers: Annotated[int, typer.Option(min=1, max=MOST_WORKERS, help="Server processes")] = 1,
    host: Annotated[str, typer.Option(help="Address to listen on, instead of HOST")] = "",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on, instead of PORT")] = 0,
    first_run: Annotated[  # noqa: FBT002 -- typer's way of a flag
        bool, typer.Option("--first-run", help="First write a .env, migrate and make a first admin, where these are missing")
    ] = False,
) -> None:
    """Serve, with the settings checked before anything is forked."""
    if first_run:
        set_up()
    settings = load_settings()
    _check_metrics(settings, workers, port or settings.PORT)
    config = uvicorn.Config(
        "app.main:app",
        host=host or settings.HOST,
        port=port or settings.PORT,
        workers=workers,
        ws="none",
        proxy_headers=False,
        server_header=False,
        date_header=True,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=GRACE_SECONDS,
        limit_concurrency=None,
    )
    configure_logging(settings.LOG_LEVEL, json=not settings.is_development)
    _say_where(settings, config.host, config.port)
    # uvicorn raises the signal it was stopped by once more; it has been dealt with by then, so the exit is a clean one.
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, lambda *_: None)
    if workers == 1:
        server = uvicorn.Server(config)
        server.run()
        sys.exit(0 if server.started else 3)
    socket = config.bind_socket()
    Multiprocess(config, sockets=[socket]).run()


def _check_metrics(settings: Settings, workers: int, port: int) -> None:
    if port in settings.metrics_ports:
        raise SettingsError("METRICS_PORT: holds the port to serve on")
    # Each worker counts for itself. On a port that all of them share, every answer would be another one's.
    if workers > 1 and settings.metrics_wanted and len(settings.metrics_ports) < workers:
        raise SettingsError(f"METRICS_PORT: {workers} workers need {workers} ports, one each, such as 9464-{9464 + workers - 1}")


def _say_where(settings: Settings, host: str, port: int) -> None:
    shown = f"[{host}]" if ":" in host else "localhost" if host in {"127.0.0.1", "0.0.0.0"} else host  # noqa: S104 -- for showing
    base = f"http://{shown}:{port}"
    typer.echo(f"Authkeep   {base}")
    if settings.docs_open:
        typer.echo(f"Docs       {base}/docs")
    if settings.is_development and settings.SMTP_HOST is None:
        typer.echo(f"Mailbox    {base}/dev/mailbox")
    typer.echo(f"Health     {base}/health/")
    if settings.is_development and Path(".env").exists():
        typer.echo("Settings   .env")
    sys.stdout.flush()


def worker() -> None:
    """Do the jobs (mail above all) in a process of their own; set WORKER_IN_SERVER=false for the servers."""
    settings = load_settings()
    configure_logging(settings.LOG_LEVEL, json=not settings.is_development)
    asyncio.run(_work(settings))


async def _work(settings: Settings) -> None:
    from app.assembly import build_server, close_server, open_metrics_port
    from app.jobs.worker import Worker

    server = build_server(settings)
    stopped = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, stopped.set)
    await open_metrics_port(server)
    working = Worker(server)
    working.start()
    typer.echo("Working.")
    try:
        while not stopped.is_set():
            if server.problem is not None:
                server.problem = await _problem(settings)
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    await stopped.wait()
            except TimeoutError:
                continue
    finally:
        await working.stop()
        await close_server(server)


async def _problem(settings: Settings) -> str | None:
    from app.assembly import is_migrated

    try:
        return None if await is_migrated(settings) else "not migrated"
    except Exception as error:  # a database that is away comes back
        return type(error).__name__
