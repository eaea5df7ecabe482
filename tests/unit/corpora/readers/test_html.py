"""HTML: what is navigation and what only bears its name, words of buttons, choices and pictures."""

from __future__ import annotations

import pytest

from corpora.errors import UnreadableDocumentError
from corpora.readers import ReadDocument, read_document

WORDS = "<p>반품은 이레 안에 접수합니다. 송장을 상자에 붙입니다.</p>"
LINKS = "<ul><li><a href='/a'>첫 화면</a></li><li><a href='/b'>입고</a></li><li><a href='/c'>출고</a></li></ul>"


def read(body: str) -> ReadDocument:
    return read_document(f"<html><body>{body}</body></html>".encode(), "지침.html")


@pytest.mark.parametrize(
    "page",
    [
        f"<div class='container has-sidebar'><h1>반품</h1>{WORDS}</div>",
        f"<div id='content' class='content no-toc'><h1>반품</h1>{WORDS}</div>",
        f"<div class='sidebar'><h2>반품</h2>{WORDS}</div><p>{'다른 글입니다. ' * 20}</p>",
        f"<h1>반품</h1><div class='menu'>{WORDS * 9}</div>",
        f"<header><h1>반품</h1></header>{WORDS}",
    ],
)
def test_content_below_a_menus_name_is_content(page: str) -> None:
    document = read(page)
    assert "반품은 이레 안에 접수합니다." in document.text
    assert "# 반품\n" in document.text
    assert document.warnings == ()


def test_the_canteens_menu_is_a_table() -> None:
    rows = "<tr><th>요일</th><th>점심</th></tr><tr><td>월</td><td>비빔밥</td></tr>"
    expected = "| 요일 | 점심 |\n| --- | --- |\n| 월 | 비빔밥 |"
    assert expected in read(f"{WORDS}<div class='menu'><table>{rows}</table></div>").text
    assert expected in read(f"{WORDS}<table class='menu'>{rows}</table>").text


@pytest.mark.parametrize(
    "menu",
    [
        f"<div id='gnb'><h2>주메뉴</h2>{LINKS}</div>",
        f"<div class='left_menu wide'>{LINKS}</div>",
        f"<div class='md-sidebar'>{LINKS}</div>",
        "<table class='menu'><tr><td><a href='/a'>첫 화면</a></td><td><a href='/b'>입고</a></td></tr></table>",
        "<div class='footer'>첫 화면 저작권 물류팀</div>",
        "<header><h1><a href='/'>첫 화면</a></h1></header>",
        f"<nav><h2>첫 화면</h2>{LINKS}<button>찾기</button></nav>",
    ],
)
def test_menus_are_set_aside_aloud(menu: str) -> None:
    document = read(f"{menu}<h1>반품</h1>{WORDS}")
    assert document.text == "# 반품\n\n반품은 이레 안에 접수합니다. 송장을 상자에 붙입니다.\n"
    assert any("navigation" in said for said in document.warnings)


def test_buttons_and_choices_are_words_of_a_step() -> None:
    steps = (
        "<li><button>저장</button>을 누릅니다.</li>"
        "<li><select>\n<option>입고</option>\n<option>출고</option>\n</select>에서 고릅니다.</li>"
        "<li><input type='submit' value='등록'>을 누릅니다. <input type='text' value='아무개'></li>"
    )
    expected = "1. 저장을 누릅니다.\n2. 입고, 출고에서 고릅니다.\n3. 등록을 누릅니다.\n"
    assert read(f"<ol>{steps}</ol>").text == expected
    assert read(
        f"<p>창고는 <select><option>냉장</option><option>냉동</option></select>입니다.</p>{WORDS}"
    ).text.startswith("창고는 냉장, 냉동입니다.\n")
    assert read("<table><tr><th>단추</th><td><button>저장</button></td></tr></table>").text.startswith(
        "| 단추 | 저장 |"
    )


def test_words_of_pictures_are_kept_and_pictures_told() -> None:
    document = read(
        "<h1>점검표</h1><p><img src='a.png' alt='밸브 위치'>를 봅니다.</p><table><tr><td>그림</td>"
        "<td><img src='b.png' alt=''></td></tr></table><img src='c.png' alt='c.png'><img width='1' height='1'>"
        "<svg><path d='M0'/></svg><svg><text>흐름도</text></svg><nav><img src='logo.png' alt='로고'></nav>"
    )
    assert "밸브 위치 를 봅니다." in document.text
    assert "c.png" not in document.text
    assert "로고" not in document.text
    assert "4 pictures were left out; text in them is not read." in document.warnings


def test_a_page_of_pictures_is_scanned() -> None:
    with pytest.raises(UnreadableDocumentError, match="2 pictures and no text") as caught:
        read("<img src='1.jpg'><img src='2.jpg'>")
    assert caught.value.code == "scanned"
