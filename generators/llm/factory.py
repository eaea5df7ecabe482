"""Makes the client of a model by its name: which transport it goes through is in the prefix.

=============================  ==========================================================
``<model>``                    an OpenAI-compatible endpoint, request by request
``batch:<model>``              the same through OpenAI's Batch API: cheaper, within a day
``langchain:<provider>:<m>``   any other provider, through LangChain
=============================  ==========================================================

Use::

    endpoints = Endpoints()
    client = make_client(settings, cache=cache, ledger=ledger, endpoints=endpoints, batches=batches)
    try:
        reply, usage = await client.complete(request)
    finally:
        await client.aclose()
"""

from __future__ import annotations

from dataclasses import replace

from corpora.errors import InvalidInputError
from generators.llm.asker import Asker
from generators.llm.batch import BatchModelClient
from generators.llm.client import OpenAIModelClient
from generators.llm.endpoint import Endpoints
from generators.llm.langchain_chat import LangChainTransport
from generators.llm.settings import BATCH_PREFIX, LANGCHAIN_PREFIX, EndpointSettings
from generators.ports import BatchLog, Ledger, ReplyCache

__all__ = ["make_client"]


def make_client(
    settings: EndpointSettings,
    *,
    cache: ReplyCache,
    ledger: Ledger,
    endpoints: Endpoints | None = None,
    batches: BatchLog | None = None,
) -> Asker | BatchModelClient:
    """The client of ``settings.model``.

    Args:
        settings: where to ask and how patiently.
        cache: replies of the job.
        ledger: budget of the job.
        endpoints: what clients of the same endpoint and model share; None for a client on its own.
        batches: where ids of sent batches are kept; needed for ``batch:`` models.

    Raises:
        InvalidInputError: the name has no model in it, or there is nowhere to keep batches.
        MissingExtraError: LangChain is not installed.
    """
    if settings.model.startswith(LANGCHAIN_PREFIX):
        settings = replace(settings, structured="none")
        endpoint = (endpoints or Endpoints()).of(settings)
        transport = LangChainTransport(settings, endpoint.timing)
        return Asker(settings, transport, cache=cache, ledger=ledger, endpoint=endpoint)
    if settings.model.startswith(BATCH_PREFIX):
        if batches is None:
            raise InvalidInputError("Batches need a place where their ids are kept.", param="model")
        endpoint = (endpoints or Endpoints()).of(settings)
        return BatchModelClient(settings, cache=cache, ledger=ledger, batches=batches, endpoint=endpoint)
    endpoint = (endpoints or Endpoints()).of(settings)
    return OpenAIModelClient(settings, cache=cache, ledger=ledger, endpoint=endpoint)
