"""Health: alive, ready, and what of what we need is there.

Owns: /health/*. Needs: nothing but core; features plug their checks into core.HEALTH.
"""
