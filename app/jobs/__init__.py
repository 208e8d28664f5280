"""Jobs: later work as rows of the transaction that asks for it; a worker that does each at least once; a daily round.

Owns: tables jobs and daily_rounds, sockets HANDLERS and DAILY. Needs: nothing but core.
"""
