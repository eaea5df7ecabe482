"""Sentences of documents as hashes, so that documents are compared without reading every chunk again."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "document_units",
        sa.Column("document_id", sa.String(), nullable=False),
        sa.Column("corpus_id", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("units", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["document_id"], ["documents.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("document_id"),
    )
    op.create_index(op.f("ix_document_units_corpus_id"), "document_units", ["corpus_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_document_units_corpus_id"), table_name="document_units")
    op.drop_table("document_units")
