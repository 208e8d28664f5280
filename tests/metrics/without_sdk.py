"""A server in whose interpreter OpenTelemetry's SDK is not installed."""

import sys

sys.modules["opentelemetry.sdk"] = None  # type: ignore[assignment]  # as importlib marks what can't be imported

from app.cli.app import main  # noqa: E402 -- what it imports must not find the SDK

main()
