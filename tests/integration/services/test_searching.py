"""Search by words, by meaning and by both, in some documents, and while the corpus gets another embedder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.services import corpora, deletion, index_jobs, indexing, searching, uploads
from app.services.context import Services
from app.services.corpus_index import chunk_record
from app.services.embedders import embedder_for
from app.services.embeddings import CreateEmbeddings, create_embeddings
from app.services.vector_store import vector_store
from app.settings import Settings
from app.store.queries import find, listed
from app.store.tables import ChunkRow, CorpusRow, EventRow
from corpora.errors import InvalidInputError
from retrieval.embedders.base import overlong
from retrieval.index import CorpusIndex, Mode
from retrieval.retriever import shown
from tests.embedding_server import EmbeddingServer, embedding_server
from tests.integration.services.conftest import RunNext, context_of
from tests.tiny_embedder import build_tiny_embedder

TEXTS = {
    "도크.md": "# 도크\n\n도크란 차량이 짐을 내리는 자리를 말합니다.",
    "반품.md": "# 반품\n\n반품이란 출고된 상품이 창고로 돌아오는 일을 말합니다.",
    "오류.md": "# 오류 코드\n\n오류 E-204는 바코드를 읽지 못했다는 뜻입니다. 렌즈를 닦고 다시 읽습니다.",
}


def filled(services: Services, run_next: RunNext) -> tuple[str, dict[str, str]]:
    corpus_id = str(corpora.create_corpus(services, "지침")["id"])
    files = [(name, None, text.encode()) for name, text in TEXTS.items()]
    ids = uploads.upload_documents(services, corpus_id, files)
    run_next("index")
    return corpus_id, dict(zip(TEXTS, ids, strict=True))


def first(services: Services, corpus_id: str, query: str, **more: Any) -> dict[str, Any]:
    return searching.search_corpus(services, corpus_id, query, 3, **more)[0]


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
def test_every_mode_finds_and_says_what_it_compared(services: Services, run_next: RunNext, mode: Mode) -> None:
    corpus_id, ids = filled(services, run_next)
    hit = first(services, corpus_id, "E-204가 뜨면 어떻게 하나요?", mode=mode)
    assert hit["document_id"] == ids["오류.md"]
    assert (hit["dense"] is None) == (mode == "lexical")
    assert (hit["lexical"] is None) == (mode == "dense")


def test_a_search_may_look_in_some_documents_only(services: Services, run_next: RunNext) -> None:
    corpus_id, ids = filled(services, run_next)
    only = [ids["반품.md"], ids["오류.md"]]
    found = searching.search_corpus(services, corpus_id, "도크란 차량이 짐을 내리는 자리", 5, document_ids=only)
    assert {hit["document_id"] for hit in found} <= set(only)
    assert first(services, corpus_id, "반품이란 무엇인가요?", document_ids=only)["document_id"] == ids["반품.md"]
    with pytest.raises(InvalidInputError, match="doc_nowhere"):
        searching.search_corpus(services, corpus_id, "도크", 5, document_ids=["doc_nowhere"])


def test_diverse_hits_are_the_same_ones_in_another_order(services: Services, run_next: RunNext) -> None:
    corpus_id, _ = filled(services, run_next)
    plain = searching.search_corpus(services, corpus_id, "상품과 차량과 바코드", 3)
    diverse = searching.search_corpus(services, corpus_id, "상품과 차량과 바코드", 3, diversity=0.7)
    assert diverse[0] == plain[0]
    assert {hit["chunk"]["id"] for hit in diverse} == {hit["chunk"]["id"] for hit in plain}


def with_endpoint(services: Services, server: EmbeddingServer) -> Services:
    settings = Settings(data_dir=services.settings.data_dir, embedder_base_url=server.base_url)
    return replace(services, settings=settings)


def test_another_embedder_is_built_beside_the_old_one(
    services: Services, run_next: RunNext, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus_id, ids = filled(services, run_next)
    before = index_jobs.get_index(services, corpus_id)
    assert (before["status"], before["embedder"], before["chunks"]) == ("ready", "hashed", 3)
    with embedding_server() as server:
        asking = with_endpoint(services, server)
        queued = index_jobs.build_again(asking, corpus_id, "openai:작은-모델")
        assert (queued["embedder"], queued["job"]["embedder"]) == ("hashed", "openai:작은-모델")
        assert first(asking, corpus_id, "도크란 무엇인가요?")["document_id"] == ids["도크.md"]
        searched: list[str] = []
        add = CorpusIndex.add

        def adding(self: CorpusIndex, *args: Any) -> None:
            # In the middle of the job the old index goes on answering.
            searched.append(first(asking, corpus_id, "반품이란 무엇인가요?")["document_id"])
            add(self, *args)

        monkeypatch.setattr(CorpusIndex, "add", adding)
        monkeypatch.setattr("app.services.indexing.build", _with(asking))
        run_next("index")
        monkeypatch.undo()
        after = index_jobs.get_index(asking, corpus_id)
        assert searched == [ids["반품.md"]]
        assert (after["embedder"], after["job"]["status"]) == ("openai:작은-모델", "succeeded")
        assert after["fingerprint"] != before["fingerprint"]
        by_words = first(asking, corpus_id, "도크란 차량이 짐을 내리는 자리", mode="lexical")
        assert by_words["document_id"] == ids["도크.md"]
        sent = sum(server.embedded.values())
        assert set(server.embedded.values()) == {1}
        index_jobs.build_again(asking, corpus_id, "openai:작은-모델")
        monkeypatch.setattr("app.services.indexing.build", _with(asking))
        run_next("index")
        assert sum(server.embedded.values()) == sent


def test_a_corpus_keeps_its_prefixes_until_it_is_built_again(
    services: Services, run_next: RunNext, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus_id, ids = filled(services, run_next)
    with embedding_server() as server:
        asking = with_endpoint(services, server)
        settings = {"embedder_query_prefix": "query: ", "embedder_passage_prefix": "passage: "}
        other = replace(asking, settings=asking.settings.model_copy(update=settings))
        for services_now, prefix in ((asking, ""), (other, "passage: ")):
            index_jobs.build_again(services_now, corpus_id, "openai:작은-모델")
            monkeypatch.setattr("app.services.indexing.build", _with(services_now))
            run_next("index")
            monkeypatch.undo()
            assert all(text.startswith(prefix) for text in list(server.embedded)[-3:])
            before = len(server.embedded)
            # Whatever the settings have become, the question goes out as the passages did.
            for asker in (asking, other):
                query = f"도크란 무엇인가요? {prefix}{asker is asking}"
                assert first(asker, corpus_id, query)["document_id"] == ids["도크.md"]
            asked = list(server.embedded)[before:]
            assert [text.startswith("query: ") for text in asked] == [bool(prefix)] * 2


def _with(services: Services) -> Any:
    from app.services.corpus_index import build

    return lambda _services, context, corpus_id, wanted: build(services, context, corpus_id, wanted)


def test_a_client_may_not_name_any_folder_or_download(services: Services, run_next: RunNext) -> None:
    corpus_id, _ = filled(services, run_next)
    for spec in ("/etc", "../비밀", "intfloat/multilingual-e5-small", "..", "없는-모델"):
        with pytest.raises(InvalidInputError) as caught:
            index_jobs.build_again(services, corpus_id, spec)
        assert caught.value.param == "embedder"
    assert index_jobs.get_index(services, corpus_id)["job"]["status"] == "succeeded"


def test_embeddings_of_a_corpus_are_those_of_its_index(services: Services, run_next: RunNext) -> None:
    corpus_id, _ = filled(services, run_next)
    body = create_embeddings(services, CreateEmbeddings(model="hashed", input="도크", corpus_id=corpus_id))
    assert len(body["data"][0]["embedding"]) == 1024
    with services.store.read() as session:
        corpus = find(session, CorpusRow, CorpusRow.id == corpus_id)
    assert corpus is not None
    assert corpus.embedder == "hashed"


def test_a_corpus_answers_in_a_langchain_chain(services: Services, run_next: RunNext) -> None:
    from langchain_core.language_models import FakeListChatModel
    from langchain_core.output_parsers import StrOutputParser
    from langchain_core.prompts import ChatPromptTemplate
    from langchain_core.runnables import RunnablePassthrough

    corpus_id, ids = filled(services, run_next)
    store = vector_store(services, corpus_id)
    retriever = store.as_retriever(search_kwargs={"k": 1})
    seen: list[str] = []

    def shown(documents: list[Any]) -> str:
        seen.extend(document.metadata["document_id"] for document in documents)
        return "\n".join(document.page_content for document in documents)

    prompt = ChatPromptTemplate.from_template("{context}\n\n질문: {question}")
    model = FakeListChatModel(responses=["렌즈를 닦고 다시 읽습니다."])
    chain = {"context": retriever | shown, "question": RunnablePassthrough()} | prompt | model | StrOutputParser()
    assert chain.invoke("E-204는 무슨 뜻인가요?") == "렌즈를 닦고 다시 읽습니다."
    assert seen == [ids["오류.md"]]
    deletion.delete_document(services, ids["오류.md"])
    assert all(found.metadata["document_id"] != ids["오류.md"] for found in store.similarity_search("E-204", k=3))


@pytest.mark.long
def test_chunks_fit_the_model_that_embeds_them(services: Services, run_next: RunNext, tmp_path: Path) -> None:
    folder = build_tiny_embedder(tmp_path / "models" / "작은-임베더")
    settings = Settings(data_dir=services.settings.data_dir, models_dir=folder.parent, embedder=folder.name)
    local = replace(services, settings=settings)
    corpus_id = str(corpora.create_corpus(local, "지침")["id"])
    text = "# 입고\n\n" + "\n\n".join(
        f"입고 예정 {n}건은 오전에 등록합니다. 반품 상품은 오후에 검수합니다." for n in range(40)
    )
    (document_id,) = uploads.upload_documents(local, corpus_id, [("입고.md", None, text.encode())])
    row = local.jobs.claim("test", ["index"])
    assert row is not None
    outcome = indexing.run_index(
        local, context_of(local, row.id, row.attempt), indexing.IndexParams(corpus_id=corpus_id)
    )
    assert outcome.status == "succeeded"
    embedder = embedder_for(local, folder.name, None, ())
    with local.store.read() as session:
        rows = listed(session, ChunkRow, ChunkRow.document_id == document_id)
        told = [event.data for event in listed(session, EventRow, EventRow.job_id == row.id)]
    assert len(rows) > 10
    assert overlong(embedder, [shown(chunk_record(chunk)) for chunk in rows]) == []
    assert not any((data or {}).get("code") == "chunks_too_long" for data in told)
    assert searching.search_corpus(local, corpus_id, "반품 상품은 언제 검수하나요?", 3)
