"""Making and selecting samples: generators, their prompts, the model client, curation and the pipeline that joins them.

May import ``retrieval`` and ``corpora``; knows nothing of training, HTTP, jobs, settings or SQL.
"""
