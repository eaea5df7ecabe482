"""The words that say what a number is. The nearest one governs, and those of goods and papers govern too.

Longer words come first within a topic; topics are tried in the order of ``_WORDS`` at the same place, so 송장번호 is a
code before 번호 could be anything else.
"""

from __future__ import annotations

import re
from enum import StrEnum

__all__ = ["ASIDE", "LABEL", "Topic"]

#: A label may stand behind its number, at most this many characters away: "110-…(신한은행)".
ASIDE = 4


class Topic(StrEnum):
    """What a label speaks of."""

    CODE = "code"
    RESIDENT = "resident"
    BUSINESS = "business"
    CORPORATE = "corporate"
    CARD = "card"
    ACCOUNT = "account"
    BANK = "bank"
    PASSPORT = "passport"
    LICENCE = "licence"
    PHONE = "phone"
    ADDRESS = "address"

    @property
    def reach(self) -> int:
        """How many characters before a number the label may end; a bank is named right before its account."""
        return 12 if self is Topic.BANK else 30


#: Things whose number is a code once 번호, 코드 or ID follows.
_THINGS = (
    "상품|제품|품목|자재|부품|입고|출고|출하|반품|주문|발주|구매|판매|배송|배차|작업|전표|문서|관리|일련|제조|모델|"
    "차량|위치|선반|거래|승인|접수|예약|등기|추적|컨테이너|웨이브|이동|검수|실사|자산|장비|단말|고객|사원|사번|우편|송장"
)
#: Things whose number is a code by themselves.
_CODES = (
    "바코드|로트|롯트|운송장|송장|택배|품번|로케이션|팔레트|파렛트|라이선스 ?플레이트|인보이스|시리얼|일련 ?번호|"
    "사번|수량|금액|재고|버전|태그|등기"
)
_LATIN = "LOT|SKU|SSCC|GTIN|EAN|UPC|RFID|EPC|LPN|PO|SO|ASN|GRN|B/?L|AWB|S/?N|ISBN|ITF|JAN|TID|BIN|QTY|VER"
_BANKS = (
    "(?:국민|신한|우리|하나|기업|농협|산업|수출입|부산|대구|경남|광주|전북|제주|외환|씨티|축협|저축) ?은행|"
    "(?:SC제일|KB국민|IBK기업|NH농협) ?은행|"
    "카카오 ?뱅크|카뱅|토스 ?뱅크|케이 ?뱅크|K ?뱅크|iM ?뱅크|새마을 ?금고|신협|수협|농협|우체국|"
    "(?<![가-힣])(?:국민|신한|카카오|토스)(?= ?[0-9]{3,6}-[0-9])"
)
_WORDS: dict[Topic, str] = {
    Topic.CODE: (
        rf"(?:{_THINGS}) ?(?:번호|코드|ID)|(?:{_CODES})(?: ?(?:번호|코드))?"
        rf"|(?<![A-Za-z])(?:{_LATIN})(?![A-Za-z])(?: ?(?:번호|코드|No\.?))?"
    ),
    Topic.RESIDENT: (
        "주민 ?(?:등록)? ?번호|주민등록|외국인 ?(?:등록)? ?번호|(?:국내)? ?거소 ?신고 ?번호|"
        "(?<![A-Za-z])RRN(?![A-Za-z])"
    ),
    Topic.BUSINESS: "사업자 ?등록 ?번호|사업자 ?번호|사업자 ?등록증?|고유 ?번호증?",
    Topic.CORPORATE: "법인 ?등록 ?번호|법인 ?번호",
    Topic.CARD: "(?:신용|체크|법인|결제|직불|선불) ?카드(?: ?번호)?|카드 ?번호|(?<![가-힣])카드(?= ?:? ?[0-9])",
    Topic.ACCOUNT: r"계좌(?: ?번호)?|예금주|(?<![A-Za-z])account(?: (?:no\.?|number))?(?![A-Za-z])",
    Topic.BANK: _BANKS,
    Topic.PASSPORT: r"여권(?: ?번호)?|(?<![A-Za-z])passport(?: no\.?)?(?![A-Za-z])",
    Topic.LICENCE: "(?:운전)? ?면허증?(?: ?번호)?",
    Topic.PHONE: (
        "전화(?: ?번호)?|휴대 ?(?:폰|전화)(?: ?번호)?|핸드폰(?: ?번호)?|연락처|대표 ?번호|안심 ?번호|"
        "고객 ?센터|콜 ?센터|팩스|직통|문의|담당자|수령인|받는 ?분|"
        r"(?<![A-Za-z])(?:TEL|FAX|PHONE|MOBILE|H\.?P|C\.?P)\.?(?![A-Za-z])"
    ),
}
LABEL = re.compile("|".join(f"(?P<{topic.value}>{words})" for topic, words in _WORDS.items()), re.IGNORECASE)
