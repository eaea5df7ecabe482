"""The embedder that a setting names, made once a process: what jobs, search and ``/v1/embeddings`` ask for vectors.

A corpus goes on with the embedder that built its index until another index is there, so the spec comes from the corpus
(``CorpusRow.embedder``) or, for a new one, from the settings; so do its prefixes. Threshold, device and endpoint are
settings.

Use::

    embedder = embedder_for(services, services.settings.embedder, None, texts)      # a first build
    corpus.embedder_fingerprint, corpus.embedder_state = embedder.fingerprint, state_of(embedder)
    embedder_for(services, corpus.embedder, corpus.embedder_state, (), fingerprint=corpus.embedder_fingerprint)
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from app.services.context import Services
from app.settings import Settings
from app.store.database import Store
from app.store.vectors import SqlVectorCache
from corpora.errors import InvalidInputError
from retrieval.embedders import Embedder, HashedEmbedder
from retrieval.embedders.base import OTHERS_THRESHOLD, Prefixed, Prefixes
from retrieval.embedders.choose import ENDPOINT, parse_spec
from retrieval.embedders.model_folder import Signature, folder_signature, local_folder, read_prefixes
from retrieval.embedders.sentence import LocalModel, SentenceEmbedder

if TYPE_CHECKING:
    # The openai package takes 0.8 s of CPU to import, and most corpora never ask it.
    from retrieval.embedders.endpoint import EndpointEmbedder, EndpointModel

__all__ = ["check_embedder", "check_spec", "embedder_for", "state_of"]

#: Two threads that ask for the same model at once must get the same object, or it would lie in memory twice.
_ONE_AT_A_TIME = threading.Lock()
_NO_PREFIXES = Prefixes(query="", passage="")


def check_embedder(settings: Settings) -> None:
    """Say at the start of the service what would fail at the first document; nothing is fetched or loaded.

    Raises:
        InvalidInputError: the setting names no embedder, or an endpoint without an address.
    """
    check_spec(settings, settings.embedder)


def check_spec(settings: Settings, spec: str) -> None:
    """As ``check_embedder``, for any embedder written as EMBEDDER is."""
    found = parse_spec(spec, settings.models_dir)
    if found.kind == "endpoint":
        _base_url(settings, found.name)


def embedder_for(
    services: Services,
    spec: str,
    state: Mapping[str, Any] | None,
    texts: Sequence[str],
    *,
    fingerprint: str | None = None,
) -> Embedder:
    """The embedder that ``spec`` names, in the state that was stored.

    Models are loaded once a process and remembered while they are used, so a search may call this for each query.

    Args:
        services: Settings and store.
        spec: As the setting EMBEDDER is written.
        state: What ``state_of`` gave when the index was built; None before the first build.
        texts: Passages that the default embedder takes its word weights from; read only where ``state`` is None.
        fingerprint: Of the index, with its ``state``: the default embedder is then remembered too. The embedder that
            comes back may have another one: a local model whose files were replaced, an endpoint on another host.

    Raises:
        InvalidInputError: there is no such embedder, its folder is refused, or its endpoint has no address.
        MissingExtraError: a local model without the extra ``local``.
    """
    found = parse_spec(spec, services.settings.models_dir)
    if found.kind == "hashed":
        return _hashed_for(state, texts, fingerprint)
    dimension = int(state["dimension"]) if state is not None and "dimension" in state else None
    if found.kind == "endpoint":
        with _ONE_AT_A_TIME:
            model = _endpoint_model(services.settings, found.name, _prefixes(services.settings, state))
            return _endpoint(model, services.store, dimension)
    folder = local_folder(found.name)
    local = _local_model(services.settings, folder, _prefixes(services.settings, state, read_prefixes(folder)))
    with _ONE_AT_A_TIME:
        return _local(local, folder_signature(folder))


def state_of(embedder: Embedder) -> dict[str, Any]:
    """What must be stored beside an index so that ``embedder_for`` gives this embedder again; plain JSON."""
    if isinstance(embedder, HashedEmbedder):
        return embedder.to_json()
    prefixes = embedder.prefixes if isinstance(embedder, Prefixed) else _NO_PREFIXES
    return {
        "dimension": embedder.dimension,
        "query_prefix": prefixes.query,
        "passage_prefix": prefixes.passage,
    }


def _prefixes(settings: Settings, state: Mapping[str, Any] | None, own: Prefixes = _NO_PREFIXES) -> Prefixes:
    """Those that the index was built with; before the first build those of the settings, else the model's own."""
    kept = state or {}
    query, passage = settings.embedder_query_prefix, settings.embedder_passage_prefix
    return Prefixes(
        query=kept.get("query_prefix", own.query if query is None else query),
        passage=kept.get("passage_prefix", own.passage if passage is None else passage),
    )


@dataclass(frozen=True, slots=True)
class _HashedState:
    """The default embedder's state, told apart by its fingerprint alone."""

    fingerprint: str
    state: Mapping[str, Any] = field(compare=False)


def _hashed_for(state: Mapping[str, Any] | None, texts: Sequence[str], fingerprint: str | None) -> HashedEmbedder:
    if state is None:
        return HashedEmbedder.fit(texts)
    return HashedEmbedder.from_json(state) if fingerprint is None else _hashed(_HashedState(fingerprint, state))


@lru_cache(maxsize=8)
def _hashed(known: _HashedState) -> HashedEmbedder:
    return HashedEmbedder.from_json(known.state)


def _local_model(settings: Settings, folder: Path, prefixes: Prefixes) -> LocalModel:
    return LocalModel(
        folder=folder,
        query_prefix=prefixes.query,
        passage_prefix=prefixes.passage,
        semantic_threshold=settings.embedder_semantic_threshold or OTHERS_THRESHOLD,
        device=settings.embedder_device,
    )


# Two: the one that is searched with while another one's index is built.
@lru_cache(maxsize=2)
def _local(model: LocalModel, _signature: Signature) -> SentenceEmbedder:
    return SentenceEmbedder(model)


def _endpoint_model(settings: Settings, model: str, prefixes: Prefixes) -> EndpointModel:
    from retrieval.embedders.endpoint import EndpointModel

    return EndpointModel(
        model=model,
        base_url=_base_url(settings, model),
        api_key=_api_key(settings),
        query_prefix=prefixes.query,
        passage_prefix=prefixes.passage,
        semantic_threshold=settings.embedder_semantic_threshold or OTHERS_THRESHOLD,
        timeout_s=settings.model_timeout_s,
    )


@lru_cache(maxsize=4)
def _endpoint(model: EndpointModel, store: Store, dimension: int | None) -> EndpointEmbedder:
    from retrieval.embedders.endpoint import EndpointEmbedder

    return EndpointEmbedder(model, SqlVectorCache(store), dimension=dimension)


def _base_url(settings: Settings, model: str) -> str:
    url = settings.embedder_base_url or settings.model_base_url
    if url is None:
        raise InvalidInputError(
            f"The embedder '{ENDPOINT}{model}' needs an endpoint; set MALMOI_EMBEDDER_BASE_URL (or "
            "MALMOI_MODEL_BASE_URL) to an OpenAI-compatible API.",
            param="embedder_base_url",
        )
    return url


def _api_key(settings: Settings) -> str | None:
    if settings.embedder_api_key is not None:
        return settings.embedder_api_key.get_secret_value()
    own, models = settings.embedder_base_url, settings.model_base_url
    # The key of one provider is nobody else's business.
    same = own is None or (models is not None and urlsplit(own)[:2] == urlsplit(models)[:2])
    return settings.model_api_key.get_secret_value() if same and settings.model_api_key is not None else None
