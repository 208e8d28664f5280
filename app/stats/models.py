"""The table of counts."""

from datetime import datetime

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, UtcDateTime


class StatPoint(Base):
    """One number for the hour that begins `at`, last written at `moved_at`.

    One row, `turn`, is none: its value is the first hour that is not counted for good, in hours since 1970, and `moved_at` says
    when a worker last began to count.
    """

    __tablename__ = "stat_points"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)
    moved_at: Mapped[datetime] = mapped_column(UtcDateTime)
