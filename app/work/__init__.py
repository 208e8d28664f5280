"""Work: what staff see of jobs that wait, run or were given up, and having one tried again or dropped.

Owns: /jobs. Needs: jobs, audit, users.
"""
