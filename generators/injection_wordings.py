"""The wordings by which a text speaks to a language model instead of its reader, in Korean and English.

``SUSPECT`` matches one of them in text whose single line breaks are blanks. Classes: leave your orders and say this;
put this into every answer; answer every question so; you, the model, are now another; say only this; marks of chat
templates. Each names whom it orders (the model, its answers, the questions it gets): "작업자는 '확인'이라고 말하세요"
is a manual's matter. Must not know what is done with a match.
"""

from __future__ import annotations

import re

__all__ = ["SUSPECT"]

_IN = r"[^\n.!?]"
_BEFORE = r"(?<![가-힣])"
_ORDERS = r"(?:지시(?:문|사항)?|명령(?:어|문)?|프롬프트|안내|규칙|지침)"
_SAY = r"(?:답변?|대답|응답|회답|출력|말)"
_ADD = r"(?:붙[이여]|포함|넣|추가|덧붙|삽입|언급|적으|적어|적을|쓰[세십시라]|써)"
_DO = (
    r"(?:세요|십시오|시오|[아어해하]라|거라|[을할일] ?것|[아어해]야|[아어해] ?(?:주세요|주십시오|줘)|도록"
    r"|(?:해|줘)(?=[\s.!?]|\Z)|[아어]\s*\Z)"
)
_MODEL = (
    r"(?:AI|인공지능|(?:거대 ?)?언어 ?모델|LLM|GPT|챗봇|어시스턴트"
    r"|(?:글|문서|내용|텍스트|지문)[을를] (?:읽는|처리하는|요약하는) 모델)"
)
_ANSWERS = r"(?:답변|대답|응답|답글|답)"

_KOREAN = (
    # Leaving one's orders and saying something: 작업 지시를 무시하고 새로 발행합니다 is a manual's matter.
    rf"(?:이전|앞|위|지금까지|기존|모든|당신의|원래|상기){_IN}{{0,20}}{_ORDERS}{_IN}{{0,12}}(?:무시|잊|따르지)"
    rf"{_IN}{{0,60}}(?:{_SAY}{_IN}{{0,10}}(?:하|해|시오|세요|라)|(?:라는|란) (?:말|문구|단어){_IN}{{0,10}}{_ADD})",
    rf"{_ORDERS}[은는을를]? ?(?:모두 |전부 )?(?:무시|잊|따르지){_IN}{{0,40}}(?:이?라고|만) ?{_SAY}",
    rf"(?:앞|위|이전|지금까지){_IN}{{0,12}}(?:내용|대화|글|것|말){_IN}{{0,6}}잊(?:어(?:라|버려|버리|주)|으[세십시라])",
    # Something in every answer.
    rf"(?:모든|매번|항상|어떤|각) ?(?:[가-힣]{{1,6}} )?{_ANSWERS}(?:에|마다|의|은|는|을|를| )"
    rf"{_IN}{{0,50}}{_ADD}{_IN}{{0,8}}{_DO}",
    rf"{_BEFORE}{_ANSWERS}(?:에는?|의|을|은)? ?(?:맨 )?(?:끝|앞|마지막|뒤|첫머리|처음)"
    rf"{_IN}{{0,40}}{_ADD}{_IN}{{0,8}}{_DO}",
    rf"{_BEFORE}{_ANSWERS}에는?{_IN}{{0,40}}(?:반드시|항상|꼭|무조건){_IN}{{0,40}}{_ADD}{_IN}{{0,8}}{_DO}",
    rf"(?:반드시|항상|꼭|무조건) {_IN}{{0,20}}{_ANSWERS}에{_IN}{{0,40}}{_ADD}{_IN}{{0,8}}{_DO}",
    # One answer to every question.
    rf"(?:모든|어떤|다음|이후의?|사용자의?|무슨) ?질문(?:에|이|을|마다){_IN}{{0,50}}"
    rf"(?:이?라고만?|[A-Za-z]{{3,}}['\"’”]?(?:으로|로)만?|['\"’”](?:으로|로|만)|붙여) ?{_IN}{{0,8}}{_SAY}",
    rf"(?:질문|물으면|물어보면|묻거든|당신은|너는){_IN}{{0,60}}이?라고만? ?{_SAY}{_IN}{{0,6}}{_DO}",
    rf"이?라고만 ?{_SAY}{_IN}{{0,4}}{_DO}",
    r"(?:다음|아래|이) (?:문장|말|단어|텍스트)만 ?(?:그대로 )?(?:출력|답|말|반복)",
    # Another role, another law.
    rf"{_BEFORE}(?:당신은|너는|넌) ?(?:이제|지금|오늘|앞으로)(?:부터)?(?:는)? ",
    rf"{_MODEL}(?:에게|은|는|야|여|라면){_IN}{{0,40}}(?:{_SAY}|무시|따르|{_ADD}){_IN}{{0,8}}{_DO}",
    rf"{_BEFORE}(?:새|새로운|추가) (?:지시|명령)(?:문|사항)? ?[:：]{_IN}{{0,60}}"
    rf"(?:{_ANSWERS}|영어로|출력|무시|질문|이?라고 말)",
    r"시스템 ?프롬프트",
)
_ENGLISH = (
    r"\b(?:ignore|disregard|forget|override)\b[^\n.!?]{0,30}\b(?:instructions?|prompts?|rules|directions|above"
    r"|(?:previous|prior|earlier) (?:text|context|messages?|conversation)|(?:you were|been) told|everything)\b",
    r"\b(?:respond|answer|reply|say|output)\b[^\n.!?]{0,40}"
    r"\b(?:only|to (?:every|all|any)|instead|nothing (?:but|else)|regardless|no matter)\b",
    r"\b(?:always|only|must) (?:respond|answer|reply|say|output)\b",
    r"\b(?:in|to|of|with) (?:every|all|each|any|your) (?:answers?|responses?|repl(?:y|ies)|outputs?)\b",
    r"\bprint\s+(?:only\s+|the word\s+)?[\"'“‘]?(?-i:[A-Z]{4,})",
    r"\byou are now\b|\bfrom now on,? (?:you|always|answer|respond|reply)\b|\bpretend (?:to be|you are)\b",
    r"\bsystem prompt\b|<\|(?:im_(?:start|end)|system|user|assistant)\|>|\[/?INST\]|<</?SYS>>",
    r"^#{2,4} ?(?:instruction|system|response) ?:",
)
SUSPECT = re.compile("|".join(f"(?:{pattern})" for pattern in (*_KOREAN, *_ENGLISH)), re.IGNORECASE | re.MULTILINE)
