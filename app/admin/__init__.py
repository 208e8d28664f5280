"""The console, below /admin: pages for staff. A page calls the same service as the route of the same act.

Owns no table. Needs: every feature that staff look into.
"""
