"""Filters of phrases that a model writes about itself or its prompt: refusals and leaked templates.

Patterns are anchored to who speaks and where: "답변드릴 수 없습니다" in the middle of a letter to a customer is
content, at the start of an answer it is a refusal.
"""

from __future__ import annotations

import re

from corpora.korean.script import prose, without_code
from corpora.records import Candidate, Verdict
from generators.curation.settings import Limits
from generators.curation.verdicts import parts, rejected

__all__ = ["no_prompt_leak", "no_refusal"]

_MODEL = (
    r"(?:(?:AI|인공지능|에이아이)(?: ?(?:언어 ?모델|어시스턴트|챗봇|비서|모델))?"
    r"|(?:대규모 ?|거대 ?|초거대 ?)?언어 ?모델|챗GPT|ChatGPT)"
)
_UNABLE = r"(?:수(?:가|는)? ?없|드리지 못|하지 못|못 ?(?:합|해|하)|불가(?:능|합)|어렵|어려(?:운|울|워)|곤란)"
#: What gives a model away wherever it stands, and letters without which none of it can stand there.
_SELF = re.compile(
    rf"{_MODEL}(?:로서|으로서|이기 때문에|이기에|이므로|이라서|라서|일 뿐|에 불과)"
    rf"|(?:저는|제가|전) (?:\S+ ){{0,2}}{_MODEL}(?:입니다|이에요|예요|이며|이고|이라)"
    r"|(?:제|저의) (?:지식|학습 데이터|훈련 데이터)(?:은|는|의|이|가)? .{0,20}(?:까지|이전|기준|한계)"
    r"|실시간 (?:정보|데이터|검색)(?:에|를|을|은|는)? ?(?:직접 )?"
    r"(?:접근|확인|제공|조회|검색)(?:할|하는|이|은)? ?(?:수(?:가|는)? 없|불가)"
    r"|\b[Aa]s an? (?:AI|artificial intelligence|(?:large )?language model)\b"
    r"|\bI(?:'m| am) (?:just )?an? (?:AI|language model)\b"
    r"|\b(?:trained|developed|created) by (?:OpenAI|Anthropic|Google|Meta|Mistral)\b"
)
_SELF_LETTERS = ("모델", "AI", "인공지능", "에이아이", "GPT", "지식", " 데이터", "실시간", "language", " by ")
#: What refuses at the start of an answer.
_REFUSAL = re.compile(
    r"\W*(?:"
    r"(?:(?:정말 |대단히 |매우 )?(?:죄송|미안|유감|안타깝)[가-힣]*,? ?(?:하지만|지만|만)?,? ?[^\n.!?]{0,60}?"
    r"(?:답변|답|대답|도움|도와|제공|알려|말씀|설명|안내|처리|수행|응답|이행)"
    rf"[가-힣]* ?(?:[가-힣]+ )?{_UNABLE})"
    r"|(?:해당|이|그|이러한|그러한|요청하신) (?:질문|요청|내용|주제)[가-힣]*(?: \S+){0,3} "
    rf"(?:답변|답|대답|도움|도와|제공|응답|처리|이행)[가-힣]* ?{_UNABLE}"
    r"|(?:주어진|제공된|제시된|현재) (?:정보|문서|지문|자료|내용|문맥|맥락|텍스트)"
    rf"[가-힣]{{0,4}}[^\n.!?]{{0,60}}(?:찾을|알|확인할|답변할|답할|판단할|파악할)[가-힣]* ?{_UNABLE}"
    r"|(?:I'm |I am )?(?:sorry|afraid),? (?:but )?I\b|I (?:cannot|can't|am unable to) "
    r")",
    re.IGNORECASE,
)
#: Tokens and frames of chat templates: ChatML, Llama, Mistral, Gemma, EXAONE; <s> only at the edges (HTML has it too).
_CONTROL = re.compile(
    r"<\|[A-Za-z_0-9]{2,24}\|>|\[\|[a-z]{2,16}\|\]|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|\A\s*<s>|</s>\s*\Z"
    r"|</?think>|<(?:eos|bos|pad|unk)>"
)
#: Labels of prompts at the start of a line; Korean ones only as a heading: a list of questions has 질문: and 답변:.
_LABEL = re.compile(
    r"^[ \t]*(?:#{2,4}[ \t]*(?:지시(?:문|사항)?|명령어?|입력|출력|응답|Instruction|Input|Output|Response)[ \t]*(?::|$)"
    r"|#{2,4}[ \t]*(?:답변|질문|맥락|Question|Answer|Context)[ \t]*:"
    r"|\**(?:Human|Assistant|Instruction|Response|System prompt|시스템 프롬프트)\**[ \t]*:)",
    re.MULTILINE,
)
#: Labels that open a text which is itself the question or the answer; an answer may be a list of 질문: and 답변:.
_OPENING = {
    "question": re.compile(r"\s*\**(?:질문|문제|Question|Q)\**[ \t]?\d*\**[ \t]*[:：]"),
    "answer": re.compile(r"\s*\**(?:답변|응답|정답|Answer|A)\**[ \t]?\d*\**[ \t]*[:：]"),
}
_DEBRIS = re.compile(
    r"[{,]\s*\"(?:question|answer|citations?|instruction|input|output|passage|quote|질문|답변|답)\"\s*:"
)
#: Every one of these has a mark in it.
_MARKS = ("<", "[", "#", ":", "：")
#: A passage that only the prompt showed; 본문 and 문서 alone are ordinary words.
_PASSAGE = re.compile(
    r"(?:주어진|제공된|제시된|위의?) ?(?:지문|텍스트|컨텍스트|문맥|본문|맥락|글)"
    r"|(?:지문|컨텍스트|본문|문맥)에 (?:따르면|의하면|나와|언급|근거)|참고 ?(?:문서|지문) ?\[?\d"
)


def no_refusal(candidate: Candidate, _limits: Limits) -> Verdict | None:
    """The answer answers: no "AI 언어 모델로서", no refusal at its start unless that is what was asked for."""
    text = prose(candidate.answer)
    match = _SELF.search(text) if any(letters in text for letters in _SELF_LETTERS) else None
    # A question that the documents do not answer is to be refused politely; its generator has checked how.
    wanted = candidate.provenance.traits.get("question_type") == "unanswerable"
    match = match or (None if wanted else _REFUSAL.match(text))
    return rejected("answer_refuses", pattern=match.group(0).strip()[:120]) if match else None


def no_prompt_leak(candidate: Candidate, _limits: Limits) -> Verdict | None:
    """No template token, prompt label or broken JSON in either text, no word of passages in a grounded answer."""
    for part, raw in parts(candidate):
        text = without_code(raw)
        match = None
        if any(mark in text for mark in _MARKS):
            match = _CONTROL.search(text) or _LABEL.search(text) or _OPENING[part].match(text) or _DEBRIS.search(text)
        if match is None and part == "answer" and candidate.grounded:
            match = _PASSAGE.search(text)
        if match:
            return rejected(f"{part}_leaks_prompt", pattern=match.group(0).strip()[:120])
    return None
