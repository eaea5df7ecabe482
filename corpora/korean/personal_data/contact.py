"""Ways to reach or pay a person: phones, e-mail addresses, cards and bank accounts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from corpora.korean.personal_data.checksums import luhn_check
from corpora.korean.personal_data.identity import is_goods_barcode
from corpora.korean.personal_data.labels import Topic
from corpora.korean.personal_data.line import BARRIER, LEFT, RIGHT, Hit, Line

__all__ = ["accounts", "cards", "emails", "phones"]

_GAP = r"(?: ?[-.)] ?| )"
_MOBILE = re.compile(
    rf"{LEFT}(?:\+82{_GAP}?(?:\(?0\)?)?|82-|0)1(?:0{_GAP}?[0-9]{{4}}|[16-9]{_GAP}?[0-9]{{3,4}}){_GAP}?[0-9]{{4}}{RIGHT}"
)
#: Area codes of Seoul and the provinces, 070 internet telephony, 080 free calls, 050x forwarded numbers (안심번호).
_AREA = r"(?:2|3[1-3]|4[1-4]|5[1-5]|6[1-4]|70|80|50[2-8])"
_LANDLINE = re.compile(
    rf"{LEFT}\(?(?:\+82{_GAP}?(?:\(?0\)?)?|82-|0)(?P<area>{_AREA})(?P<one>{_GAP}?)(?P<exchange>[0-9]{{3,4}})"
    rf"(?P<two>{_GAP}?)[0-9]{{4}}{RIGHT}"
)
#: Nationwide numbers of companies (전국대표번호).
_COMPANY = re.compile(
    rf"{LEFT}(?:15(?:22|33|44|66|77|88|99)|16(?:00|44|60|61|66|68|70|88)|18(?:00|11|33|55|77|99))-[0-9]{{4}}{RIGHT}"
)
_LOCAL = r"[A-Za-z0-9._%+-]"
_EMAIL = re.compile(
    rf"(?<![A-Za-z0-9._%+{BARRIER}-])[A-Za-z0-9]{_LOCAL}{{0,63}}@"
    r"(?P<domain>(?:[A-Za-z0-9-]{1,63}\.){1,8}(?P<top>[A-Za-z]{2,24}))"
    rf"(?![A-Za-z0-9{BARRIER}]|:[~/A-Za-z0-9])"
)
#: Mailboxes of a function, not of a person.
_ROLES = re.compile(
    r"(?:info|support|help|no-?reply|admin|webmaster|contact|sales|cs|master|postmaster|service|recruit)@",
    re.IGNORECASE,
)
#: Names reserved for examples by RFC 2606 and 6761.
_EXAMPLE = re.compile(r"(?:.*\.)?example(?:\.(?:com|net|org))?|.*\.(?:test|invalid|localhost|example)", re.IGNORECASE)
#: "logo@2x.png" is a picture for dense screens.
_FILES = frozenset(["png", "jpg", "jpeg", "gif", "svg", "webp", "css", "js", "json", "html"])
_CARD = re.compile(
    rf"{LEFT}(?:(?<![0-9][- ])(?:[0-9]{{4}}(?P<gap>[- ])[0-9]{{4}}(?P=gap)[0-9]{{4}}(?P=gap)[0-9]{{4}}"
    rf"|3[0-9]{{3}}(?P<three>[- ])[0-9]{{6}}(?P=three)[0-9]{{4,5}})(?![- ][0-9])|[0-9]{{14,16}}){RIGHT}"
)
#: Ranges of the first four digits with the numbers of digits that go with them: Visa, Mastercard (two ranges), Amex,
#: Diners (two ranges), Discover (three), JCB, UnionPay, and 9 for cards that are valid in Korea only.
_ISSUERS = (
    (4000, 4999, (16,)),
    (5100, 5599, (16,)),
    (2221, 2720, (16,)),
    (3400, 3499, (15,)),
    (3700, 3799, (15,)),
    (3000, 3059, (14,)),
    (3600, 3699, (14,)),
    (3800, 3999, (14,)),
    (6011, 6011, (16,)),
    (6440, 6499, (16,)),
    (6500, 6599, (16,)),
    (3528, 3589, (16,)),
    (6200, 6299, (16,)),
    (9000, 9999, (16,)),
)
_ACCOUNT = re.compile(rf"{LEFT}(?:[0-9]{{2,6}}(?:-[0-9]{{1,8}}){{1,3}}|[0-9]{{10,14}}){RIGHT}")
_DATE = re.compile(r"(?:19|20)[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])")


def _issued(digits: str) -> bool:
    first = int(digits[:4])
    return any(low <= first <= high and len(digits) in lengths for low, high, lengths in _ISSUERS)


def phones(line: Line) -> Iterator[Hit]:
    """Mobile, area, internet and forwarded numbers. Numbers of companies (1588-…, 080) are low."""
    yield from _mobiles(line)
    yield from _landlines(line)
    for match in line.matches(_COMPANY):
        label = line.label(*match.span())
        topic = label.topic if label else None
        years = match[0][:4] < match[0][5:] <= "2100"
        if topic is Topic.PHONE or not (years or topic is Topic.CODE):
            yield Hit(start=match.start(), end=match.end(), high=False, label=label)


def _mobiles(line: Line) -> Iterator[Hit]:
    for match in line.matches(_MOBILE):
        label = line.label(*match.span())
        topic = label.topic if label else None
        if match[0].isdigit():
            # Bare digits of the old prefixes (011, 016-019) are ten or eleven digits of anything.
            known = topic is Topic.PHONE or (match[0].startswith("010") and topic is not Topic.CODE)
            high = True
        else:
            known = True
            high = not (label and topic is Topic.CODE and label.touching)
        if known:
            yield Hit(start=match.start(), end=match.end(), high=high, label=label)


def _landlines(line: Line) -> Iterator[Hit]:
    for match in line.matches(_LANDLINE):
        label = line.label(*match.span())
        topic = label.topic if label else None
        area = match["area"]
        free = area.startswith(("50", "70"))  # Of any first digit; the exchanges of an area start with 2 to 9.
        if topic is Topic.CODE or (match["exchange"][0] == "0" and not free):
            continue
        # 02-123-4567 is nobody's number but everybody's example.
        dashed = "-" in match["two"] and match["one"] != "" and (free or match["exchange"][0] != "1")
        if topic is Topic.PHONE:
            high = area != "80"
        elif match["one"] and match["two"]:
            # Without a label, numbers parted by spaces or dots may be cells of a table or a version.
            high = dashed and area != "80"
        else:
            continue
        yield Hit(start=match.start(), end=match.end(), high=high, label=label)


def emails(line: Line) -> Iterator[Hit]:
    """E-mail addresses, also with a Korean particle glued on. Mailboxes of functions and example domains are low."""
    for match in _EMAIL.finditer(line.text):
        if match["top"].lower() in _FILES:
            continue
        shared = _ROLES.match(match[0]) or _EXAMPLE.fullmatch(match["domain"])
        yield Hit(start=match.start(), end=match.end(), high=not shared)


def cards(line: Line) -> Iterator[Hit]:
    """Card numbers: issuer's range and Luhn, in groups or behind a label; grouped and labelled but failing is low."""
    for match in line.matches(_CARD):
        digits = re.sub("[^0-9]", "", match[0])
        label = line.label(*match.span())
        topic = label.topic if label else None
        grouped = len(digits) != len(match[0])
        valid = _issued(digits) and luhn_check(digits)
        labelled = topic is Topic.CARD
        if (valid and (labelled or (grouped and topic is not Topic.CODE))) or (grouped and labelled):
            yield Hit(start=match.start(), end=match.end(), high=valid, checksum=luhn_check(digits), label=label)


def accounts(line: Line) -> Iterator[Hit]:
    """Bank accounts: 10 to 14 digits in groups behind 계좌 or a bank; bare digits behind a bank alone are low."""
    for match in line.matches(_ACCOUNT):
        digits = match[0].replace("-", "")
        label = line.label(*match.span())
        if label is None or label.topic not in (Topic.ACCOUNT, Topic.BANK) or not 10 <= len(digits) <= 14:
            continue
        bare = "-" not in match[0]
        if _DATE.match(match[0]) or (bare and is_goods_barcode(digits)):
            continue
        yield Hit(start=match.start(), end=match.end(), high=not bare or label.topic is Topic.ACCOUNT, label=label)
