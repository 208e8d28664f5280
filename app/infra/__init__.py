"""Adapters: the only code that knows Redis, SMTP and raw database drivers. `main` and `cli` choose among them."""
