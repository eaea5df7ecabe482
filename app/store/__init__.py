"""The store: tables, migrations, the queue, and the SQL versions of the generators' ports. Only home of SQLAlchemy.

SQLite in WAL mode by default, PostgreSQL by URL. The store is the truth; index files and folders are caches of it.
"""
