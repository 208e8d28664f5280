"""Tickets: single-use links and codes, and what makes them good. No secret is stored: both are derived from the row's id.

Owns: tables tickets and code_guesses. Needs: nothing but core. Features that mail links (passwords) call `service`.
"""
