"""Tickets: single-use links and what makes them good. No secret is stored: a link is derived from its row's id.

Owns: table tickets. Needs: nothing but core. Features that mail links (passwords) call `service`.
"""
