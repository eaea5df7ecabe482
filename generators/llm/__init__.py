"""The model client and what belongs to it: endpoint errors, retries, reading replies.

The only home of the ``openai`` package among the generators. Knows nothing of prompts, documents or curation; the rooms
above see ``OpenAIModelClient``, ``EndpointSettings`` and the errors. Import from the modules themselves.
"""
