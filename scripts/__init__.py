"""Programs for people who work on Authkeep: `python -m scripts.NAME`."""
