"""Addresses down to the number of the building, by road (도로명) and by plot (지번), with house and unit behind it.

A region's name has to open it: "테헤란로 152" with its city is an address, "바코드로 152개" is not. Without a region
it is low, and only behind 주소 or with 번지. A city, a district or a road without a number points to no one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from corpora.korean.personal_data.labels import Topic
from corpora.korean.personal_data.line import BARRIER, Hit, Label, Line
from corpora.korean.personal_data.regions import CITIES, PROVINCES

__all__ = ["addresses"]

_PROVINCE = "|".join(PROVINCES)
_CITY = "|".join(CITIES)
_GAP = " {0,2}"
#: "서울시강남구역삼동" may be run together, but not a region alone with what follows: 서울회의로, 중구난방으로.
_REGION = (
    rf"(?:(?:{_PROVINCE})(?:(?:{_GAP}(?P<city>{_CITY})){{1,2}}{_GAP}| {{1,2}})"
    rf"|(?P<bare>{_CITY}) {{1,2}}(?:(?:{_CITY}) {{1,2}})?)"
)
_TOWN = rf"(?:(?P<town>[가-힣0-9]{{1,6}}(?:읍|면)){_GAP})?"
_UNITS = "개|원|명|시|분|초|일|월|년|회|건|대|배|차|번|층|살|세|위|인|점|톤"
#: What follows a count, a time or a floor, but not a building: "서울 강남대로 2번 출구". A unit of one syllable ends
#: its word or takes a particle, or else "152 위워크" would be a rank.
_COUNTED = (
    rf"(?:{_UNITS})(?:(?![가-힣])|(?=[을를이가은는의에로와과도만씩부까]))"
    "|여? ?(?:박스|팔레트|파렛트|개월|개소|개사|시간|번째|단계|곳|조|억|만|천|노선|호선|퍼센트|미터)"
    "|㎏|㎞|㎡|km|kg|mm|cm|m|%|°"
)
#: "을지로 3가" is a part of town.
_NUMBER = (
    rf"[0-9]{{1,5}}(?:-[0-9]{{1,5}})?(?![0-9{BARRIER}])(?!-[0-9A-Za-z])(?![.,:/][0-9])"
    rf"(?!(?<![0-9][0-9])가)(?! ?(?:{_COUNTED}))"
)
_ROAD = r"[가-힣0-9][가-힣0-9·.]{0,14}?(?:대로|로|길)(?<!으로)(?: ?[0-9]{1,4}번?[가나다라]?길)?"
_PLOT = r"(?:[가-힣]{1,6}[0-9]{0,2}(?P<unit>동|리)|[가-힣]{1,4}(?:로|동) ?[0-9]{1,2}가)"
_UNIT = (
    r"(?:,? ?\([^()|\n]{1,30}\))?(?:,? ?[가-힣A-Za-z0-9]{1,15}(?:아파트|빌딩|타워|오피스텔|빌라|맨션|주택|센터))?"
    r"(?:,? ?(?:[0-9]{1,4}|[A-Z])동)?(?:,? ?(?:지하 ?|B)?[0-9]{1,3}층)?(?:,? ?[0-9]{1,5}호)?"
)
_BY_ROAD = re.compile(
    rf"{_REGION}{_TOWN}(?:[가-힣0-9]{{1,6}}동 {{1,2}})?{_ROAD}{_GAP}(?:지하 ?)?(?P<number>{_NUMBER}){_UNIT}"
)
_BY_PLOT = re.compile(rf"{_REGION}{_TOWN}{_PLOT}{_GAP}(?:산 ?)?(?P<number>{_NUMBER})(?P<lot> ?번지)?{_UNIT}")
_LABELLED = re.compile(
    r"(?<![가-힣] )(?P<label>주소|배송지|수령지|도착지|출발지|소재지|거주지) ?: ?"
    rf"(?P<address>[가-힣][가-힣0-9]{{1,12}}?(?:대로|로|길)(?<!으로)(?: ?[0-9]{{1,4}}번?길)?{_GAP}{_NUMBER}{_UNIT})"
)
_NUMBERED = re.compile(
    rf"(?<![가-힣0-9])[가-힣]{{1,5}}[0-9]?(?:동|리) ?(?:산 ?)?[0-9]{{1,4}}(?:-[0-9]{{1,4}})? ?번지{_UNIT}"
)
#: Every address holds this; the patterns above are only tried where it occurs.
_ANCHOR = re.compile(r"[로길동리가산하] {0,2}[0-9]")


def addresses(line: Line) -> Iterator[Hit]:
    """Addresses in the line; those that open with a region are high."""
    if not _ANCHOR.search(line.text):
        return
    for match in _BY_ROAD.finditer(line.text):
        if _opens(line.text, match.start()):
            yield Hit(start=match.start(), end=match.end(), high=True)
    for match in _BY_PLOT.finditer(line.text):
        # "서울 이동 12" is no place: a plot names its city, a village its town, or says 번지 or 12-3.
        exact = bool(match["lot"]) or "-" in match["number"]
        named = match["town"] if match["unit"] == "리" else match["city"] or match["bare"]
        if (exact or named) and _opens(line.text, match.start()):
            yield Hit(start=match.start(), end=match.end(), high=True)
    for match in _LABELLED.finditer(line.text):
        label = Label(topic=Topic.ADDRESS, word=match["label"])
        yield Hit(start=match.start("address"), end=match.end(), high=False, label=label)
    for match in _NUMBERED.finditer(line.text):
        yield Hit(start=match.start(), end=match.end(), high=False)


def _opens(text: str, start: int) -> bool:
    """Whether a region's name starts a word here; kept out of the patterns, which scan faster without it."""
    return start == 0 or not (text[start - 1].isalnum() or text[start - 1] == BARRIER)
