"""Who is calling? A FastAPI dependency that asks Authkeep, with the caller's token and nothing else."""

from authkeep_client.client import Authkeep
from authkeep_client.verdict import User

__all__ = ["Authkeep", "User"]
