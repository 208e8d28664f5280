"""Traces to a collector, by OpenTelemetry's SDK. Loaded only where there is a collector to send them to."""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

CLOSE_SECONDS = 3.0


def traces_to(endpoint: str) -> tuple[TracerProvider, Callable[[], Awaitable[None]]]:
    """Where spans are made, and how to end it.

    They are sent from a thread, some seconds of them at once. What a collector that is away does not take is dropped: no
    request ever waits for it. The SDK's own settings (OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER and so on) count.
    """
    resource = Resource.create()
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: "authkeep"}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))

    async def close() -> None:
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            provider.shutdown()
            with contextlib.suppress(RuntimeError):  # nobody waits any more
                loop.call_soon_threadsafe(done.set)

        # A thread that the end of the process does not wait for: the SDK waits half a minute for a collector that is silent.
        threading.Thread(target=shut_down, name="traces", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await done.wait()

    return provider, close
