"""The command line: `python -m app …`, `authkeep …`. Errors are one line and exit 1; bad settings are one line and exit 2.

A command imports the application when it runs, not when the command line is put together: the supervisor of `serve --workers`
then stays small, and bad settings, `--help` and `init` are answered at once.
"""
