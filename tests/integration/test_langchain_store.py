"""A corpus inside real LangChain chains: retriever, prompt, model."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import pytest

from corpora.errors import InvalidInputError
from corpora.records import Chunk
from retrieval.embedders import HashedEmbedder
from retrieval.index import CorpusIndex
from tests.scripted_server import ScriptedServer

core = pytest.importorskip("langchain_core")

from langchain_core.documents import Document  # noqa: E402
from langchain_core.language_models.fake_chat_models import FakeListChatModel  # noqa: E402
from langchain_core.output_parsers import StrOutputParser  # noqa: E402
from langchain_core.prompts import ChatPromptTemplate  # noqa: E402
from langchain_core.runnables import RunnableLambda, RunnablePassthrough  # noqa: E402

from retrieval.index.langchain_store import CorpusVectorStore, ReadOnlyIndexError  # noqa: E402

PAGES = {
    "doc_inbound": (
        "냉장 상품의 입고는 전날 오후 네 시까지 확정합니다. 늦으면 다음 날 첫 도크로 미룹니다.",
        "도크가 비면 입고 담당자가 하차 순서를 다시 정하고 화면에 올립니다.",
    ),
    "doc_returns": (
        "반품 상자는 검수한 뒤 등급을 매겨 적치합니다. 등급이 없으면 폐기 구역으로 보냅니다.",
        "오류 코드 E-204는 반품 송장 번호가 겹칠 때 나옵니다. 번호를 고쳐서 다시 올립니다.",
    ),
    "doc_returns_v2": ("반품 상자는 검수한 뒤 등급을 매겨서 적치합니다. 등급이 없으면 폐기 구역으로 보냅니다.",),
}


class Pages:
    """Chunks in memory; ``gone`` are no longer there."""

    def __init__(self) -> None:
        self.gone: set[int] = set()
        self.all: dict[int, Chunk] = {}
        for document, texts in PAGES.items():
            for index, text in enumerate(texts):
                self.all[len(self.all) + 1] = Chunk(
                    id=f"chunk_{document}_{index}",
                    document_id=document,
                    index=index,
                    text=text,
                    start=index * 100,
                    end=index * 100 + len(text),
                    headings=("창고 운영", "업무"),
                )

    def chunks(self, numbers: Sequence[int]) -> Mapping[int, Chunk]:
        return {number: self.all[number] for number in numbers if number not in self.gone}

    def numbers(self, document_ids: Collection[str]) -> Collection[int]:
        return [number for number, chunk in self.all.items() if chunk.document_id in document_ids]


@pytest.fixture(scope="module")
def built() -> tuple[CorpusIndex, HashedEmbedder]:
    pages = Pages().all
    embedder = HashedEmbedder.fit([chunk.text for chunk in pages.values()])
    index = CorpusIndex.empty(embedder)
    index.add(list(pages), [chunk.text for chunk in pages.values()], embedder)
    return index, embedder


@pytest.fixture
def pages() -> Pages:
    return Pages()


@pytest.fixture
def store(built: tuple[CorpusIndex, HashedEmbedder], pages: Pages) -> CorpusVectorStore:
    return CorpusVectorStore(index=built[0], chunks=pages, embedder=built[1])


def documents_of(found: Sequence[Document]) -> list[str]:
    return [document.metadata["document_id"] for document in found]


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
def test_search_says_where_a_passage_stands(store: CorpusVectorStore, mode: str) -> None:
    found = store.similarity_search_with_score("냉장 입고는 언제까지 확정하나요?", k=2, mode=mode)
    document, score = found[0]
    assert document.id == "chunk_doc_inbound_0"
    assert document.page_content == PAGES["doc_inbound"][0]
    assert document.metadata == {
        "document_id": "doc_inbound",
        "chunk_id": "chunk_doc_inbound_0",
        "headings": ["창고 운영", "업무"],
        "start": 0,
        "end": len(document.page_content),
    }
    assert score == max(score for _, score in found)
    json.dumps(document.metadata)


def test_filters_by_document(store: CorpusVectorStore) -> None:
    query = "반품 상자 검수"
    for wanted in ("doc_inbound", ["doc_inbound", "doc_none"]):
        found = store.similarity_search("하차 순서와 반품 상자 검수", k=5, filter={"document_id": wanted})
        assert set(documents_of(found)) == {"doc_inbound"}
    assert store.similarity_search(query, k=5, filter={"document_id": []}) == []
    assert store.similarity_search(query, k=5, filter=None)
    for wrong in ({"page": 1}, {"document_id": 3}, {"document_id": "doc_1", "page": 1}, "doc_1"):
        with pytest.raises(InvalidInputError, match="document_id"):
            store.similarity_search(query, filter=wrong)
    with pytest.raises(InvalidInputError, match="fetch"):
        store.similarity_search(query, fetch=3)
    with pytest.raises(InvalidInputError, match="sparse"):
        store.similarity_search(query, mode="sparse")


def test_a_chunk_that_is_gone_makes_room(store: CorpusVectorStore, pages: Pages) -> None:
    before = store.similarity_search("반품 상자 검수", k=3)
    pages.gone.add(next(number for number, chunk in pages.all.items() if chunk.id == before[0].id))
    after = store.similarity_search("반품 상자 검수", k=2)
    assert [document.id for document in after] == [document.id for document in before[1:]]


def test_mmr_shows_the_second_version_later(store: CorpusVectorStore) -> None:
    query = "반품 상자 검수 등급"
    plain = store.similarity_search(query, k=2)
    assert sorted(documents_of(plain)) == ["doc_returns", "doc_returns_v2"]
    retriever = store.as_retriever(search_type="mmr", search_kwargs={"k": 2, "fetch_k": 5, "lambda_mult": 0.3})
    varied = retriever.invoke(query)
    assert varied[0].id == plain[0].id
    assert varied[1].id not in [document.id for document in plain]
    # All relevance is the plain order; two candidates leave nothing to choose.
    assert store.max_marginal_relevance_search(query, k=2, lambda_mult=1) == plain
    two = store.max_marginal_relevance_search(query, k=2, fetch_k=2, lambda_mult=0)
    assert sorted(documents_of(two)) == sorted(documents_of(plain))
    one = store.max_marginal_relevance_search(query, k=3, filter={"document_id": "doc_returns_v2"})
    assert documents_of(one) == ["doc_returns_v2"]
    with pytest.raises(InvalidInputError, match="lambda_mult"):
        store.max_marginal_relevance_search(query, lambda_mult=1.5)


def test_a_threshold_is_a_cosine(store: CorpusVectorStore) -> None:
    kwargs = {"k": 5, "score_threshold": 0.3}
    retriever = store.as_retriever(search_type="similarity_score_threshold", search_kwargs=kwargs)
    found = retriever.invoke("냉장 상품의 입고 확정")
    assert documents_of(found)[0] == "doc_inbound"
    scores = store.similarity_search_with_relevance_scores("냉장 상품의 입고 확정", k=5)
    assert all(0 <= score <= 1 for _, score in scores)
    assert [document.id for document, score in scores if score >= 0.3] == [document.id for document in found]
    with pytest.raises(InvalidInputError, match="no scale"):
        store.similarity_search_with_relevance_scores("냉장 입고", k=5, mode="lexical")


def test_nothing_shared_finds_nothing(store: CorpusVectorStore) -> None:
    assert store.similarity_search("xyzzy", mode="lexical") == []
    assert store.similarity_search("반품", k=0) == []


def test_it_is_read_only(store: CorpusVectorStore) -> None:
    calls: list[Any] = [
        lambda: store.add_texts(["새 글"]),
        lambda: store.add_documents([Document("새 글")]),
        lambda: store.delete(["chunk_1"]),
        lambda: CorpusVectorStore.from_texts(["새 글"], None),
    ]
    for call in calls:
        with pytest.raises(ReadOnlyIndexError) as caught:
            call()
        assert "through Malmoi" in caught.value.hint


def numbered(found: Sequence[Document]) -> str:
    return "\n".join(f"[{i}] {' > '.join(d.metadata['headings'])}\n{d.page_content}" for i, d in enumerate(found, 1))


PROMPT = ChatPromptTemplate.from_messages(
    [("system", "지문만 보고 답하세요."), ("human", "<지문>\n{context}\n</지문>\n\n질문: {question}\n질문과 답을 1개")]
)


def test_a_chain_with_a_fake_model(store: CorpusVectorStore) -> None:
    seen: list[Any] = []

    def look(prompt: Any) -> Any:
        seen.append(prompt)
        return prompt

    context = store.as_retriever(search_kwargs={"k": 2}) | RunnableLambda(numbered)
    model = FakeListChatModel(responses=["번호를 고쳐서 다시 올립니다.", "전날 오후 네 시입니다."])
    chain = (
        {"context": context, "question": RunnablePassthrough()} | PROMPT | RunnableLambda(look) | model
    ) | StrOutputParser()
    assert chain.invoke("E-204 오류는 어떻게 하나요?") == "번호를 고쳐서 다시 올립니다."
    assert PAGES["doc_returns"][1] in seen[0].to_string()
    assert asyncio.run(chain.ainvoke("냉장 입고는 언제 확정하나요?")) == "전날 오후 네 시입니다."
    assert PAGES["doc_inbound"][0] in seen[1].to_string()


@pytest.fixture
def endpoint() -> Iterator[str]:
    with ScriptedServer(0, None, 0.0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()
        thread.join()


def test_a_chain_with_langchains_openai_client(store: CorpusVectorStore, endpoint: str) -> None:
    openai = pytest.importorskip("langchain_openai")
    model = openai.ChatOpenAI(model="scripted", base_url=endpoint, api_key="unused", max_retries=0)
    context = store.as_retriever(search_kwargs={"k": 1}) | RunnableLambda(numbered)
    chain = {"context": context, "question": RunnablePassthrough()} | PROMPT | model | StrOutputParser()
    pair = json.loads(chain.invoke("냉장 상품의 입고는 언제까지 확정하나요?"))["pairs"][0]
    assert pair["citations"][0]["quote"] in PAGES["doc_inbound"][0]


def test_without_langchain_it_names_the_extra() -> None:
    program = (
        "import sys\n"
        "sys.modules['langchain_core'] = None\n"
        "import retrieval.index\n"
        "from corpora.errors import MissingExtraError\n"
        "try:\n"
        "    import retrieval.index.langchain_store\n"
        "except MissingExtraError as error:\n"
        "    assert \"pip install 'malmoi[langchain]'\" in str(error), error\n"
        "    print('named')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.returncode) == ("named\n", 0), done.stderr
