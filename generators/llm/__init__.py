"""The model client and what belongs to it: limiter, retries, transports, reading replies.

The only home of ``openai`` and LangChain among the generators. Knows nothing of prompts, documents or curation; the
rooms above see ``factory.make_client``, ``EndpointSettings`` and the errors. Import from the modules themselves.

::

    factory           which transport a model's name asks for
    asker             cache, turn, budget, send, and what becomes of a failure     batch      the same over batches
    endpoint          what clients of one endpoint and model share:
                      limiter (with rates), circuit, retry budget, structured
    client, langchain_chat                                                          transports
    wire, translate   requests and answers as JSON, failures as our errors
    parsing, repair   replies as items
"""
