"""Stats: what happened in each hour, and how things stand now, for the console's overview.

Owns: table stat_points, /stats. Needs: audit (the facts that are counted), auth, jobs, mail, health.
"""
