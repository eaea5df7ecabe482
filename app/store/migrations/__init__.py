"""Alembic's environment and versions; run by ``open_store``, never by hand."""
