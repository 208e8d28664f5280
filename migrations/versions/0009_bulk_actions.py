"""Actions on many accounts

Revision: 0009, after 0008
"""

import sqlalchemy as sa
from alembic import op

from app.database import UtcDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "bulk_actions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=True),
        sa.Column("filter", sa.JSON(), nullable=True),
        sa.Column("collected_to", sa.Uuid(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("started_by", sa.Uuid(), nullable=True),
        sa.Column("acting_id", sa.Uuid(), nullable=True),
        sa.Column("acting_epoch", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("moved_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("skipped", sa.Integer(), nullable=False),
        sa.Column("refused", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bulk_actions")),
    )
    op.create_index(op.f("ix_bulk_actions_created_at_id"), "bulk_actions", ["created_at", "id"], unique=False)
    op.create_index(op.f("ix_bulk_actions_state_moved_at"), "bulk_actions", ["state", "moved_at"], unique=False)
    op.create_table(
        "bulk_items",
        sa.Column("bulk_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.Column("done_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("bulk_id", "user_id", name=op.f("pk_bulk_items")),
    )
    op.create_index(op.f("ix_bulk_items_bulk_id_state_user_id"), "bulk_items", ["bulk_id", "state", "user_id"], unique=False)
    op.create_index(op.f("ix_bulk_items_user_id"), "bulk_items", ["user_id"], unique=False)


def downgrade() -> None:
    op.drop_table("bulk_items")
    op.drop_table("bulk_actions")
