"""An OpenAI-compatible model server that follows a script: real socket, no model, the same answer to the same request.

Stands in for an endpoint in tests: ``python tests/scripted_server.py --port 0 --log FILE`` prints its port on the first
line. Every request is one JSON line in FILE (hash of the body, model, status), written before the answer leaves, so a
test can prove that nothing was sent twice. It reads the prompts of ``rag_qa`` and ``self_instruct`` and makes plausible
Korean from them. The model name picks the behaviour:

=========================  ===========================================================================================
``scripted``               valid replies
``scripted-slow``          valid replies, each after ``--slow-seconds``
``scripted-429-then-ok``   429 the first time a request is seen, then a valid reply
``scripted-500-then-ok``   500 the first time a request is seen, then a valid reply
``scripted-down``          always 503
``scripted-refuse-key``    401
``scripted-quota``         429 with ``insufficient_quota``
``scripted-small``         400 ``context_length_exceeded``
``scripted-unknown``       404 ``model_not_found``
``scripted-nonsense``      200 with an HTML page
``scripted-no-choices``    200 with JSON that is no completion
``scripted-chatter``       a completion whose text is no JSON
``scripted-truncated``     a completion cut off, ``finish_reason`` length
``scripted-fenced``        valid replies inside a fenced block, with a sentence before it
``scripted-flawed``        pairs that each break one gate, and one that breaks none
``scripted-no-usage``      valid replies without ``usage``
``scripted-first``         valid replies; as a judge, it likes what stands first and gives everything 7 points
=========================  ===========================================================================================
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MODELS = tuple(re.findall(r"^``(scripted[a-z0-9-]*)``", __doc__ or "", re.MULTILINE))

Json = dict[str, Any]

_COUNT = re.compile(r"(?:질문과 답을|새 과제를) (\d+)개")
_PASSAGES = re.compile(r"<지문>\n(.*?)\n</지문>", re.DOTALL)
_PASSAGE_MARK = re.compile(r"^\[(\d+)\][ \t]*(.*)$", re.MULTILINE)
_PLANNED = re.compile(r"^(\d+)번\n- 유형: ([가-힣]+)", re.MULTILINE)
_BOTH = re.compile(r"\[1\]번과 \[(\d+)\]번 지문")
# A sentence from its start (of a line, behind a list mark or another sentence) to its full stop.
_SENTENCE = re.compile(r"(?:(?<=\n)|(?<=[.-] ))[가-힣A-Za-z0-9(][^\n|#`*.?!]{18,120}[다요오]\.(?=\s|\Z)")

# Three lists whose combinations differ in most content words, so that few of them are near-duplicates.
_TOPICS = (
    "냉장 창고의 온도 기록", "봄맞이 사무실 대청소", "신입 사원의 첫 출근", "지하철 분실물 찾기", "주말 텃밭 가꾸기",
    "고객 불만 전화 응대", "월말 재고 차이 조사", "동네 도서관 이용", "명절 택배 물량 급증", "아침 달리기 습관",
    "지게차 안전 점검", "김치찌개 끓이기", "중고 노트북 고르기", "외국어 단어 암기", "반품 상자 분류",
    "비 오는 날 배송",
    "전통 시장 장보기", "회의 시간 줄이기", "반려견 예방 접종", "유통기한 임박 상품 처리", "전기 요금 절약",
    "면접 자기소개",
    "태풍 대비 하역장 정리", "독서 모임 운영", "바코드 스캐너 고장", "가계부 쓰기", "캠핑 장비 손질", "야간 근무 교대",
)  # fmt: skip
_TASKS = (
    ("{} 관련 흔한 실수를 설명해 주세요.", "첫째는 준비 없이 시작하는 것이고, 둘째는 순서를 건너뛰는 것입니다."),
    (
        "{} 안내문을 두 문장으로 작성하세요.",
        "일정을 미리 확인해 주시기 바랍니다. 궁금한 점은 담당자에게 문의해 주십시오.",
    ),
    ("{}, 장점과 단점은 무엇일까요?", "장점은 생활이 안정된다는 점이고, 단점은 꾸준한 시간이 필요하다는 점입니다."),
    ("문장의 주제가 {} 맞는지 판단하십시오.", "네, 문장의 주제와 잘 맞는다고 판단됩니다."),
    ("{} 주간 계획을 세워 보세요.", "월요일은 조사, 수요일은 실행, 금요일은 정리로 진행하시면 좋습니다."),
    ("{} 때문에 고민하는 동료를 위로해 주세요.", "많이 힘드셨겠습니다. 작은 목표부터 함께 정해 보면 좋겠습니다."),
    ("{} 준비물은 어떤 것들이 있나요?", "안전 장비와 기록 용지, 청소 도구를 준비하시는 것이 좋습니다."),
    (
        "{} 이야기를 동화처럼 들려주십시오.",
        "옛날 어느 마을에 부지런한 다람쥐가 살았습니다. 다람쥐는 날마다 꼼꼼히 기록했습니다.",
    ),
    ("{} 비용을 줄이려면 어떻게 할까요?", "낭비되는 항목을 먼저 찾고, 꼭 필요한 항목만 남기시면 됩니다."),
)


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:8], "big")


def passages_of(prompt: str) -> list[tuple[str, str]]:
    """(heading, text) of the numbered passages of a prompt."""
    found = _PASSAGES.search(prompt)
    if not found:
        return []
    marks = list(_PASSAGE_MARK.finditer(found.group(1)))
    ends = [mark.start() for mark in marks[1:]] + [len(found.group(1))]
    return [(mark.group(2).strip(), found.group(1)[mark.end() : end]) for mark, end in zip(marks, ends, strict=True)]


def plain_pairs(prompt: str, count: int) -> list[Json]:
    """Pairs on sentences of the first passage: verbatim quote, polite answer, a question that names its words."""
    passages = passages_of(prompt)
    if not passages:
        return []
    heading, text = passages[0]
    topic = heading.split(">")[-1].strip() or "창고 업무"
    sentences = [match.group(0) for match in _SENTENCE.finditer(text)]
    start = _digest(prompt) % max(1, len(sentences))
    return [_pair(topic, sentence) for sentence in (sentences[start:] + sentences[:start])[:count]]


def _pair(topic: str, sentence: str) -> Json:
    body = sentence.rstrip(".")
    polite = body.endswith(("니다", "요", "시오"))
    subject = " ".join(body.split()[:-1][:7]).rstrip(",")
    return {
        "question": f"{topic}에서 {subject} 부분은 어떻게 하면 되나요?",
        "answer": sentence if polite else f"{body}고 안내되어 있습니다.",
        "citations": [{"passage": 1, "quote": sentence}],
    }


def pairs_for(prompt: str, count: int) -> list[Json]:
    """Plain pairs, each turned into the type that the prompt has planned for its number, where it can be."""
    planned = _PLANNED.findall(prompt)
    pairs = []
    for (number, kind), pair in zip(planned, plain_pairs(prompt, len(planned)), strict=False):
        made = _as_planned(prompt, kind, pair)
        if made is not None:
            pairs.append({**made, "number": int(number)})
    return pairs if planned else plain_pairs(prompt, count)


def _as_planned(prompt: str, kind: str, pair: Json) -> Json | None:
    passages = passages_of(prompt)
    topic = passages[0][0].split(">")[-1].strip()
    if kind == "답":
        return {
            "question": f"{topic} 업무의 심야 할증 요금은 누가 부담하나요?",
            "answer": "등록된 문서에는 할증 요금에 관한 내용이 없습니다. 정산 담당자에게 확인해 주시기 바랍니다.",
            "citations": [],
            "asked": ["할증 요금"],
        }
    if kind == "수치":
        sentence = next((m.group(0) for m in _SENTENCE.finditer(passages[0][1]) if re.search(r"\d", m.group(0))), None)
        return _pair(topic, sentence) if sentence else None
    if kind == "종합":
        found = _BOTH.search(prompt)
        other = next(_SENTENCE.finditer(passages[int(found.group(1)) - 1][1]), None) if found else None
        if found is None or other is None:
            return None
        quote = {"passage": int(found.group(1)), "quote": other.group(0)}
        answer = f"{pair['answer']} {_pair(topic, other.group(0))['answer']}"
        return {**pair, "answer": answer, "citations": [*pair["citations"], quote]}
    return pair


def flawed_pairs(prompt: str) -> list[Json]:
    """One good pair, then one for each gate that it must not pass."""
    good = plain_pairs(prompt, 1)
    if not good:
        return []
    pair = good[0]
    easy = next((int(number) for number, kind in _PLANNED.findall(prompt) if kind in ("정의", "절차", "문제")), 1)
    quote = pair["citations"][0]["quote"]
    return [
        {**pair, "number": easy},
        {**pair, "citations": [{"passage": 1, "quote": "이 구절은 어느 지문에도 적혀 있지 않습니다."}]},
        {**pair, "citations": [{"passage": 99, "quote": quote}]},
        {**pair, "citations": []},
        {**pair, "answer": pair["answer"] + " 처리 기한은 98765분입니다."},
        {**pair, "question": "위 표에서 말하는 기준은 무엇인가요?"},
        {**pair, "question": "고양이는 왜 상자를 좋아하나요?"},
        {"question": pair["question"], "answer": 3, "citations": []},
    ]


def tasks_for(prompt: str, count: int) -> list[Json]:
    """New Korean tasks, drawn by the hash of the prompt; one reply in two repeats an example at its end."""
    seed = _digest(prompt)
    tasks = []
    for number in range(count):
        pick = _digest(f"{seed}:{number}")
        topic = _TOPICS[pick % len(_TOPICS)]
        instruction, output = _TASKS[(pick // len(_TOPICS)) % len(_TASKS)]
        text = f"이번 달에는 {topic} 문제를 다루었습니다." if "문장의 주제" in instruction else ""
        answer = f"{topic} 문의에 답변드립니다. {output}"
        tasks.append({"instruction": instruction.format(topic), "input": text, "output": answer})
    if seed % 2 and count > 1:
        tasks[-1] = json.loads(prompt.split("<예시>\n", 1)[1].split("\n", 1)[0])
    return tasks


def _fenced(prompt: str, tag: str) -> list[str]:
    return re.findall(rf"<{tag}>\n(.*?)\n</{tag}>", prompt, re.DOTALL)


def _likeness(text: str, reference: str) -> float:
    """Share of words that two texts have in common, each as often as it stands."""
    mine, theirs = Counter(text.split()), Counter(reference.split())
    return 2 * (mine & theirs).total() / max(1, (mine + theirs).total())


def judgement(model: str, prompt: str) -> Json:
    """A grade or a comparison of answers by the words that they share with the reference."""
    (reference,), answers = _fenced(prompt, "정답"), _fenced(prompt, "답변")
    worth = [_likeness(answer, reference) for answer in answers]
    if '"grades"' in prompt:
        score = 7 if model == "scripted-first" else 1 + round(9 * worth[0])
        return {"grades": [{"reason": "정답과 견주었습니다.", "score": score}]}
    winner = "tie" if worth[0] == worth[1] else "A" if worth[0] > worth[1] else "B"
    winner = "A" if model == "scripted-first" else winner
    return {"verdicts": [{"reason": "정답과 견주었습니다.", "winner": winner}]}


def reply_text(model: str, prompt: str) -> str:
    """What the scripted model says to a prompt."""
    if model == "scripted-chatter":
        return "네, 알겠습니다! 질문과 답을 만들어 드릴게요. 질문: 입고란? 답: 물건이 들어오는 것입니다."
    found = _COUNT.search(prompt)
    count = int(found.group(1)) if found else 3
    if "<정답>" in prompt and "<답변>" in prompt:
        text = json.dumps(judgement(model, prompt), ensure_ascii=False)
    elif "<지문>" in prompt:
        pairs = flawed_pairs(prompt) if model == "scripted-flawed" else pairs_for(prompt, count)
        text = json.dumps({"pairs": pairs}, ensure_ascii=False)
    elif "<예시>" in prompt:
        text = json.dumps({"tasks": tasks_for(prompt, count)}, ensure_ascii=False)
    else:
        text = "안녕하세요. 무엇을 도와드릴까요?"
    return f"요청하신 결과입니다.\n\n```json\n{text}\n```" if model == "scripted-fenced" else text


def completion(model: str, prompt: str, max_tokens: int) -> Json:
    """The body of a successful answer."""
    text = reply_text(model, prompt)
    truncated = model == "scripted-truncated"
    if truncated:
        text = text[: len(text) // 2]
    body: Json = {
        "id": f"chatcmpl-{_digest(prompt):016x}",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "length" if truncated else "stop",
            }
        ],
    }
    if model != "scripted-no-usage":
        prompt_tokens, completion_tokens = len(prompt) // 2 + 8, min(max_tokens, len(text) // 2 + 1)
        body["usage"] = {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        }
    return body


def _error(message: str, kind: str, code: str | None) -> Json:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


#: Model name -> (status, body) of those that never answer.
REFUSALS: dict[str, tuple[int, Json]] = {
    "scripted-refuse-key": (401, _error("Incorrect API key provided.", "invalid_request_error", "invalid_api_key")),
    "scripted-quota": (429, _error("You exceeded your current quota.", "insufficient_quota", "insufficient_quota")),
    "scripted-down": (503, _error("The server is overloaded.", "server_error", None)),
    "scripted-unknown": (404, _error("The model does not exist.", "invalid_request_error", "model_not_found")),
    "scripted-small": (
        400,
        _error("This model's maximum context length is 64 tokens.", "invalid_request_error", "context_length_exceeded"),
    ),
    "scripted-no-choices": (200, {"error": {"message": "upstream failed", "code": 502}}),
}
_FAILS_FIRST = {"scripted-429-then-ok": 429, "scripted-500-then-ok": 500}


class ScriptedServer(ThreadingHTTPServer):
    """The server; ``log`` may be None."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, log: Path | None, slow_seconds: float) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.slow_seconds = slow_seconds
        self._log = log
        self._lock = threading.Lock()
        self._seen: set[str] = set()

    def first_time(self, request_hash: str) -> bool:
        """Whether a request has not been seen before; remembers it."""
        with self._lock:
            fresh = request_hash not in self._seen
            self._seen.add(request_hash)
            return fresh

    def record(self, request_hash: str, model: str, status: int) -> None:
        """Append one line to the log."""
        if self._log is None:
            return
        line = json.dumps({"hash": request_hash, "model": model, "status": status})
        with self._lock, self._log.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


class _Handler(BaseHTTPRequestHandler):
    server: ScriptedServer
    protocol_version = "HTTP/1.1"
    # Headers and body leave in two writes; without this the second waits for the peer's delayed acknowledgement.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.path.rstrip("/").endswith("/models"):
            models = [{"id": name, "object": "model", "created": 0, "owned_by": "tests"} for name in MODELS]
            self._answer(200, {"object": "list", "data": models})
        else:
            self._answer(404, _error(f"No such path: {self.path}", "invalid_request_error", None))

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if not self.path.rstrip("/").endswith("/chat/completions"):
            self._answer(404, _error(f"No such path: {self.path}", "invalid_request_error", None))
            return
        try:
            body = json.loads(raw)
            model, prompt = str(body["model"]), "\n".join(str(m["content"]) for m in body["messages"])
        except (ValueError, KeyError, TypeError) as error:
            self._answer(400, _error(f"Unreadable request: {error!r}", "invalid_request_error", None))
            return
        canonical = json.dumps(body, ensure_ascii=False, sort_keys=True)
        request_hash = hashlib.sha256(canonical.encode("utf-8")).hexdigest()
        fresh = self.server.first_time(request_hash)
        status, answer = self._script(model, prompt, int(body.get("max_tokens", 512)), fresh)
        self.server.record(request_hash, model, status)
        if model == "scripted-slow":
            time.sleep(self.server.slow_seconds)
        if model == "scripted-nonsense":
            self._send(200, b"<html><body>Welcome to the gateway</body></html>", "text/html")
        else:
            self._answer(status, answer)

    def _script(self, model: str, prompt: str, max_tokens: int, fresh: bool) -> tuple[int, Json]:
        if model in REFUSALS:
            return REFUSALS[model]
        if fresh and model in _FAILS_FIRST:
            return _FAILS_FIRST[model], _error("Try again.", "rate_limit_error", "rate_limit_exceeded")
        return 200, completion(model, prompt, max_tokens)

    def _answer(self, status: int, body: Json) -> None:
        self._send(status, json.dumps(body, ensure_ascii=False).encode("utf-8"), "application/json")

    def _send(self, status: int, data: bytes, media_type: str) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(data)))
            if status == 429:
                self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(data)
        except (BrokenPipeError, ConnectionResetError):
            # The client went away (a killed worker, a time-out): what this test server is for.
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Keep quiet; the log file is the record."""


def main(arguments: list[str] | None = None) -> None:
    """Serve until killed; the first line on standard output is the port."""
    parser = argparse.ArgumentParser(description="A scripted OpenAI-compatible model server for tests.")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--log", type=Path, default=None, help="file that gets one JSON line a request")
    parser.add_argument("--slow-seconds", type=float, default=0.5, help="delay of the model scripted-slow")
    options = parser.parse_args(arguments)
    with ScriptedServer(options.port, options.log, options.slow_seconds) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
