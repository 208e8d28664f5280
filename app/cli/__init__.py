"""The command line: `python -m app …`, `authkeep …`. Errors are one line and exit 1; bad settings are one line and exit 2."""
