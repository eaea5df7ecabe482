"""Samples to adapter to chat: recipes, chat templates, encoding with loss masks, QLoRA. Runs as ``python -m training``.

May import ``corpora`` only; knows nothing of generators, retrieval, HTTP, jobs, settings or SQL. Reads a configuration
file, writes events as JSON lines to standard output and files into its output folder.
"""
