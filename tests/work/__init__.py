"""What staff see of jobs, and do to one."""
