"""A server in whose process somebody else has set up OpenTelemetry, as `opentelemetry-instrument` does, for COLLECTOR."""

import os

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from app.cli.app import main

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=os.environ["COLLECTOR"])))
trace.set_tracer_provider(provider)
provider.get_tracer("somebody").start_span("somebody else's").end()
main()
