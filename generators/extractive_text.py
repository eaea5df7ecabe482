"""What the rules read of a chunk: text as a reader sees it, sentences, list items, and what forbids an answer.

``Shown`` drops emphasis marks and keeps, for every character, where it stands in the source, so that a rule may read
plain Korean and still name an exact range. ``fault`` says why a range can be no answer. Must know no rule and no
surface form.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from corpora.korean.analyse import Morpheme, sentences, tokens
from corpora.korean.speech import PLAIN, POLITE, sentence_level

__all__ = ["Item", "Sentence", "Shown", "anaphor", "fault", "items", "opens_elsewhere", "sentences_of", "spoken_whole"]

_B = r"(?<![가-힣A-Za-z0-9])"
#: Marks, remains and references that no answer may hold.
_FAULTS = {
    "link": re.compile(r"\]\(|\]\[|https?://|www\."),
    "markup": re.compile(r"<[A-Za-z/!][^>]*>|!\[|\[!|&(?:[a-z]+|#\d+);|:::|\{%|\{\{"),
    "footnote": re.compile(r"\[\d{1,3}\]"),
    "here": re.compile(rf"{_B}(?:여기|이곳)(?:를|을|에|서|로|의)?(?= )|에서이 "),
    "twice": re.compile(rf"{_B}(\S{{2,}}) \1(?![가-힣A-Za-z0-9])"),
    "marks": re.compile(r"\*{4}"),
    "foreign": re.compile(r"(?<![`/\w])[A-Za-z][a-z']*(?:,? [A-Za-z][a-z']*){4,}(?![`/\w])"),
    "code": re.compile(r"```|~~~|\{\s*$|\};", re.MULTILINE),
    "document": re.compile(
        rf"{_B}(?:이|본|해당|다른|관련|각) ?(?:토픽|항목에서(?:는)? |항목에 (?:설명|나와)|주제|문서|섹션"
        rf"|페이지의 (?:앞|뒤)|장에서"
        r"|절에서|가이드|자습서|시나리오|연습|예제|예시|예(?=[는에의가,. ]))"
        r"|(?:자세한|추가|더 많은|관련) (?:내용|정보|설명)|참조하|참고하|참조해|참고해|을 참조|를 참조|링크|데모 "
        r"|[을를](?: 꼭| 함께| 먼저)? (?:살펴보|살펴봅|읽어 ?보|읽어 ?봅|읽으|방문하)"
        r"|(?:샘플|레퍼런스|매뉴얼|설명서|안내서|튜토리얼|도움말|위키|사이트|홈페이지|블로그)\S*"
        r" (?:확인|보[시세십아면거고]|봅니|찾)|참조\)"
        r"|샘플 데이터|(?:앞|위|아래|뒤)(?:의|에서|에) (?:그림|표|섹션|절|항목|설명|언급|나열|예|테이블"
        r"|스크린|이미지|단계|절차"
        rf"|목록|지침|방법|정의|만든|생성|설정한|나온|말한)|{_B}(?:앞서|전술한|후술|상술)"
        rf"|(?:이전|{_B}(?:위|앞|아래)) (?:그림|표|섹션|절|항목|예|테이블|스크린|이미지|단계|절차|목록|시나리오)"
    ),
    "shown_elsewhere": re.compile(
        r"다음(?:의| 샘플| 예제)? (?:그림|스크린|이미지|일러스트|차트|도표|다이어그램|코드|예|표|테이블|섹션"
        r"|항목에서|절에서|도식|수식)"
        r"|다음에 나오는|여기에(?:서)? (?:설명|제공|표시|지정|나열)"
    ),
}
_LISTED = re.compile(r"다음|아래")
#: 다음 of time: 다음 날, 다음에; "연 다음" is told by the coda of its verb.
_TIME = re.compile(r"다음(?:에|날| 날| 달| 주| 번| 단추| 버튼)")
_CODA_N = 4
#: First words that go on with something that was said before.
_GOES_ON = re.compile(
    r"(?:이|그|저|이런|그런|이러한|그러한|해당|본|위|위의|아래|아래의|다음|앞의|두|세|나머지|다른|기타|동일한"
    r"|같은|반대의|후자|전자)\s"
    r"|(?:이는|이를|이것|그것|그는|그를|그녀|이들|그들|이때|그때|이와|그와|이로|이에|그에|이렇게|그렇게"
    r"|이처럼|이후|그 ?후|여기|거기"
    r"|그러면|그러나|그런데|그런 다음|그리고|그래서|그러므로|그렇지|그래도|따라서|하지만|또는|또한|또,|및|즉"
    r"|예를|예컨대|다만|단,|단\s|대신|반면"
    r"|반대로|마찬가지|결과적|결국|게다가|더욱이|한편|마지막으로|추가로|첫|둘째|셋째|이어서|아니면|그렇|왜냐"
    r"|특히|물론|이제|다음과|다음은|다음에"
    r"|다음으로|각각|모두|둘 다|경우에 따라|앞서|요약|참고|주의|중요|팁|당신|귀하|사용자는 이|먼저|우선)"
)
#: A determiner with the noun that it takes up again.
_TAKES_UP = re.compile(
    rf"{_B}(?:이|그|이러한|그러한|이런|그런|해당|동일한)\s+(?:두 |세 |모든 |새 |각 )?([가-힣A-Za-z0-9]+)"
)
_BARE = re.compile(
    rf"{_B}(?:이는|이를|이것|그것|이들|그들|이때|이렇게|그렇게|이와 같|그와 같|이로 인|둘을|둘은|둘의|둘 다"
    rf"|여기에|여기서|그러면|그런 다음)"
)
_PARTICLES = re.compile(
    r"(?:에서는|에서|에게|으로|까지|부터|에는|이나|에|을|를|이|가|은|는|의|로|와|과|도|만|들|나)+\Z"
)
_MARKS = re.compile(r"\*\*|__|(?<![A-Za-z0-9가-힣])_|_(?![A-Za-z0-9가-힣])|[*`]|\\(?=[\\`*_{}\[\]()#+.!<>|-])")
#: A blank that emphasis leaves before a particle: "**저장** 을".
_LOOSE = re.compile(
    r"(?<=[*_`]) (?=(?:을|를|이|가|은|는|의|에|로|와|과|도|만|에서|에는|에서는|에도|에게|으로|이나|나|라는|이라는"
    r"|부터|까지|입니다|이며|이고|인)(?![가-힣]))"
)
_TERM = re.compile(r"(?:\*([^*\n]{2,40})\*|_([^_\n]{2,40})_)(?!\*)")
_ITEM = re.compile(r"(?P<indent>[ \t]*)(?:[-*+]|(?P<number>\d{1,3})[.)])[ \t]+")


class Shown:
    """A range of a text without emphasis marks, with the way back to its source."""

    def __init__(self, source: str, start: int, end: int) -> None:
        dropped = {at for match in _MARKS.finditer(source, start, end) for at in range(*match.span())}
        dropped |= {match.start() for match in _LOOSE.finditer(source, start, end)}
        self._at = [at for at in range(start, end) if at not in dropped]
        self._end = end
        self.source = source
        #: What a reader sees.
        self.text = "".join(source[at] for at in self._at).replace("\n", " ")

    def where(self, low: int, high: int) -> tuple[int, int]:
        """The source's range of the characters ``low`` to ``high``, with the marks that belong to them."""
        start, end = self._at[low], self._at[high - 1] + 1
        while start > 0 and self.source[start - 1] in "*_`" and start - 1 not in self._at:
            start -= 1
        while end < self._end and self.source[end] in "*_`":
            end += 1
        return start, end


@dataclass(frozen=True, kw_only=True, slots=True)
class Sentence:
    """One sentence as a reader sees it."""

    text: str  #: Without marks.
    start: int  #: Offset in the source of its first character.
    end: int  #: Offset behind its last one.
    last: bool  #: Whether it closes its paragraph.
    term: str = ""  #: What it opens with in italics: a term that is introduced.

    @property
    def morphemes(self) -> list[Morpheme]:
        """Its morphemes, with offsets into ``text``."""
        return tokens(self.text)


def sentences_of(source: str, start: int, end: int) -> list[Sentence]:
    """The sentences of ``source[start:end]``, which is one paragraph or one list item."""
    shown = Shown(source, start, end)
    spans = [(low, high) for low, high in sentences(shown.text) if shown.text[low:high].strip()]
    found = []
    for number, (low, high) in enumerate(spans):
        text = shown.text[low:high]
        low += len(text) - len(text.lstrip())  # noqa: PLW2901 - the same range without blanks
        high -= len(text) - len(text.rstrip())  # noqa: PLW2901
        begin, behind = shown.where(low, high)
        italics = _TERM.match(source, begin, behind)
        term = (italics[1] or italics[2]).strip() if italics else ""
        last = number == len(spans) - 1
        found.append(Sentence(text=text.strip(), start=begin, end=behind, last=last, term=term))
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """An item of a list, its own lines and those of lists inside it."""

    start: int  #: Offset of the first character behind its marker.
    end: int  #: Offset behind its last character.
    number: int | None  #: Its number, where it has one.
    nested: bool  #: Whether it holds further lines.


def items(source: str, start: int, end: int) -> list[Item]:
    """The outermost items of the list ``source[start:end]``."""
    heads: list[tuple[int, int, int | None]] = []
    indent: int | None = None
    at = start
    for line in source[start:end].split("\n"):
        match = _ITEM.match(line)
        if match:
            width = len(match["indent"].expandtabs(4))
            indent = width if indent is None else indent
            if width <= indent:
                heads.append((at, at + match.end(), int(match["number"]) if match["number"] else None))
        at += len(line) + 1
    found = []
    for number, (_, body, counted) in enumerate(heads):
        behind = heads[number + 1][0] if number + 1 < len(heads) else end
        text = source[body:behind].rstrip()
        if text.strip():
            found.append(Item(start=body, end=body + len(text), number=counted, nested="\n" in text))
    return found


def opens_elsewhere(text: str) -> bool:
    """Whether ``text`` begins with a word that takes up what was said before."""
    return bool(_GOES_ON.match(text))


def anaphor(text: str, known: str = "") -> str | None:
    """The first word of ``text`` that points at something named neither before it nor in ``known``, or None."""
    for match in _TAKES_UP.finditer(text):
        noun = _PARTICLES.sub("", match[1]) or match[1]
        if noun not in text[: match.start()] and noun not in known:
            return match[0]
    for match in _BARE.finditer(text):
        if not re.search(r"[.?!]\s", text[: match.start()]):
            return match[0]
    return None


def fault(text: str, *, listed: bool = False) -> str | None:
    """Why ``text``, a range of a chunk, can be no answer: a link, a remain of markup, a word that points elsewhere.

    Args:
        text: The range.
        listed: Whether it holds the list that a "다음" in it announces.
    """
    for name, pattern in _FAULTS.items():
        if pattern.search(text):
            return name
    if not listed and any(not _is_time(text, match) for match in _LISTED.finditer(text)):
        return "announces"
    if any(text.count(mark) % 2 for mark in ("**", "`")) or text.count("(") != text.count(")"):
        return "unbalanced"
    return None


def _is_time(text: str, match: re.Match[str]) -> bool:
    """Whether this 다음 says when, not where: "다음 날", and "상자를 연 다음" but not "절차는 다음과"."""
    verb = text[: match.start()].rstrip(" ")[-1:]
    after_verb = "가" <= verb <= "힣" and (ord(verb) - ord("가")) % 28 == _CODA_N and verb not in "은는"
    return bool(_TIME.match(text, match.start())) or (match[0] == "다음" and after_verb)


def spoken_whole(text: str) -> bool:
    """Whether every sentence of plain prose ends as a sentence does, none in the middle."""
    return all(_whole(text[low:high].strip()) for low, high in sentences(text))


def _whole(sentence: str) -> bool:
    level = sentence_level(sentence)
    closed = sentence.endswith((".", "!", ".)", ".'", '."')) and "|" not in sentence
    return closed and (level in POLITE or level in PLAIN)
