"""How fast, and compared with what: `python -m bench.speed` (`make bench`) measures; `--docs` writes docs/performance.md.

Every case alternates with its yardstick, round by round, in one run. Load comes from wrk; without it nothing is measured.
"""
