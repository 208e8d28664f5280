"""Finding people among a million

Revision: 0010, after 0009

The few that a search is narrowed to, staff and disabled accounts, in each order of a listing. For everybody else nothing is kept.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

FEW = {"staff": sa.text("role <> 'user'"), "disabled": sa.text("disabled_at IS NOT NULL")}
ORDERS = {"name": ["username_key"], "email": ["email_key"], "age": ["created_at", "id"]}


def upgrade() -> None:
    for who, where in FEW.items():
        for name, columns in ORDERS.items():
            op.create_index(f"ix_users_{who}_by_{name}", "users", columns, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    for who in FEW:
        for name in ORDERS:
            op.drop_index(f"ix_users_{who}_by_{name}", table_name="users")
