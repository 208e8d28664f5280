"""Secrets of endpoints, and what is signed with them (Standard Webhooks, standardwebhooks.com, specification 1.0)."""

from base64 import b64encode
from datetime import datetime

from app.core.crypto import Sealer, message_digest, random_256
from app.webhooks.models import WebhookEndpoint

PREFIX = "whsec_"
NEW, OLD = b"webhook/new/", b"webhook/old/"


class Signer:
    """Keeps secrets sealed, each bound to its endpoint and its place there, and signs."""

    def __init__(self, key: bytes) -> None:
        self._sealer = Sealer(key)

    def make(self, endpoint: WebhookEndpoint) -> str:
        """A new secret of 256 random bits, in the form receivers know; from here on it signs. The one before is gone."""
        secret = random_256()
        endpoint.secret_sealed = self._sealer.seal(secret, NEW + endpoint.id.bytes)
        return PREFIX + b64encode(secret).decode()

    def rotate(self, endpoint: WebhookEndpoint, until: datetime | None) -> str:
        """As `make`, but the present one signs beside the new one until then; None: not at all."""
        present = self._sealer.unseal(endpoint.secret_sealed, NEW + endpoint.id.bytes) if until else None
        endpoint.old_secret_sealed = present and self._sealer.seal(present, OLD + endpoint.id.bytes)
        endpoint.old_until = until if present else None
        return self.make(endpoint)

    def headers(self, endpoint: WebhookEndpoint, message_id: str, body: bytes, now: datetime) -> dict[str, str] | None:
        """The three headers of an attempt; None where the secret was sealed under another SECRET_KEY."""
        secrets = self._secrets(endpoint, now)
        if not secrets:
            return None
        timestamp = str(int(now.timestamp()))
        signed = b".".join((message_id.encode(), timestamp.encode(), body))
        signatures = [f"v1,{b64encode(message_digest(secret, signed)).decode()}" for secret in secrets]
        return {"webhook-id": message_id, "webhook-timestamp": timestamp, "webhook-signature": " ".join(signatures)}

    def _secrets(self, endpoint: WebhookEndpoint, now: datetime) -> list[bytes]:
        found = [self._sealer.unseal(endpoint.secret_sealed, NEW + endpoint.id.bytes)]
        if endpoint.old_secret_sealed is not None and endpoint.old_until is not None and now < endpoint.old_until:
            found.append(self._sealer.unseal(endpoint.old_secret_sealed, OLD + endpoint.id.bytes))
        return [secret for secret in found if secret is not None]
