"""Webhooks: who may have them, what is sent, to whom never, and what becomes of it when receivers and workers misbehave."""
