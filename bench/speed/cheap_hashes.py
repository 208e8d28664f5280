"""Launches the server as in production but for one rule: password hashes may be cheaper than 2^10 rounds.

What a login costs beside its hash shows best where the hash costs next to nothing. Started with ENVIRONMENT=development, which
allows cost 4; everything else that follows from it is put back to production's.
"""

from app.config import Settings

if __name__ == "__main__":
    Settings.is_development = property(lambda _: False)  # type: ignore[method-assign, assignment]
    from app.cli.app import main

    main()
