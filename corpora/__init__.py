"""Text at rest: records, errors, document readers, the Korean toolkit, formats and the bundled corpus.

Knows nothing of models, indexes, the network, HTTP or environment variables; may import libraries for text only.
Everything else in the house imports from here; this package imports from none of the others.
"""
