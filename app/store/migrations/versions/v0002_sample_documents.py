"""Every document that a sample rests on, not only the one it was made for."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sample_documents",
        sa.Column("sample_id", sa.String(), nullable=False),
        sa.Column("document_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["sample_id"], ["samples.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("sample_id", "document_id"),
    )
    op.create_index(op.f("ix_sample_documents_document_id"), "sample_documents", ["document_id"], unique=False)
    # Of samples stored before, the first document is known without reading their provenance.
    op.execute(
        "INSERT INTO sample_documents (sample_id, document_id) "
        "SELECT id, document_id FROM samples WHERE document_id IS NOT NULL"
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_sample_documents_document_id"), table_name="sample_documents")
    op.drop_table("sample_documents")
