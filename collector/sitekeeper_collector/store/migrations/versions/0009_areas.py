"""Tickets of areas with their sites."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them."""
    op.add_column("tickets", sa.Column("area", sa.Text(), server_default="", nullable=False))
    for column in ("access_node", "feeder", "township"):
        op.create_index(f"ix_sites_{column}", "sites", [column])
    op.create_table(
        "area_members",
        sa.Column("ticket", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("absence", sa.Integer(), nullable=False),
        sa.Column("left_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("ticket", "site", name="pk_area_members"),
    )
    op.create_index("ix_area_members_site", "area_members", ["site"])
