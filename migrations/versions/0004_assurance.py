"""How well a session's owner proved who they are, and with which factor

Revision: 0004, after 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sessions", sa.Column("acr", sa.String(length=16), server_default="aal1", nullable=False))
    op.add_column("sessions", sa.Column("opened_with", sa.String(length=64), nullable=True))
    op.add_column("sessions", sa.Column("proved_with", sa.String(length=64), nullable=True))


def downgrade() -> None:
    op.drop_column("sessions", "proved_with")
    op.drop_column("sessions", "opened_with")
    op.drop_column("sessions", "acr")
