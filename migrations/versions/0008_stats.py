"""Counts for the overview

Revision: 0008, after 0007
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from app.database import UtcDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    points = op.create_table(
        "stat_points",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("moved_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", "at", name=op.f("pk_stat_points")),
    )
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    op.bulk_insert(points, [{"name": "turn", "at": epoch, "value": 0, "moved_at": epoch}])


def downgrade() -> None:
    op.drop_table("stat_points")
