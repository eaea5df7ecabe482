"""The corpus that ships with Malmoi: a Korean WMS manual and Korean seed tasks, written for this project.

Use ``manual_pages()`` and ``seed_tasks("wms")``; both read package files and never touch the network.
"""

from corpora.bundled.loader import MANUAL_DIR, SEED_SETS, SeedTask, manual_pages, parse_seed_tasks, seed_tasks

__all__ = ["MANUAL_DIR", "SEED_SETS", "SeedTask", "manual_pages", "parse_seed_tasks", "seed_tasks"]
