"""Sessions of somebody who acts as another

Revision: 0007, after 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # One column after the other, in place: on both databases that rewrites no row.
    op.add_column("sessions", sa.Column("impersonator_id", sa.Uuid(), nullable=True))
    op.add_column("sessions", sa.Column("parent_id", sa.Uuid(), nullable=True))
    acting = sa.text("parent_id IS NOT NULL")
    op.create_index(
        op.f("ix_sessions_parent_id"), "sessions", ["parent_id"], unique=False, sqlite_where=acting, postgresql_where=acting
    )


def downgrade() -> None:
    # An older server would take them for sessions of the person.
    op.execute("DELETE FROM sessions WHERE parent_id IS NOT NULL")
    op.drop_index(op.f("ix_sessions_parent_id"), table_name="sessions")
    with op.batch_alter_table("sessions") as sessions:
        sessions.drop_column("parent_id")
        sessions.drop_column("impersonator_id")
