"""PDFs by hand: text at places, in a font that is not embedded and whose codes are Unicode."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["pdf_of"]

_TO_UNICODE = b"""/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /Plain def /CMapType 2 def
1 begincodespacerange <0000> <FFFF> endcodespacerange
1 beginbfrange <0000> <FFFF> <0000> endbfrange
endcmap CMapName currentdict /CMap defineresource pop end end"""


#: Of pages that are turned by quarters on the sheet: the matrix that does so.
_TURNS = {0: b"1 0 0 1 0 0", 1: b"0 1 -1 0 595 0", 2: b"-1 0 0 -1 595 842", 3: b"0 -1 1 0 0 842"}


def pdf_of(
    pages: Sequence[Sequence[tuple[float, float, float, str]]],
    *,
    picture: bool = False,
    drawn: bytes = b"",
    quarters: int = 0,
    rotate: bool = True,
) -> bytes:
    """A PDF of pages.

    Args:
        pages: Of each the texts: left, bottom, size in points, text.
        picture: Whether a picture of one dot fills each page.
        drawn: What is drawn on each page, as operators.
        quarters: Turns by which all of it runs on the sheet.
        rotate: Whether the page says that it is to be shown turned back.
    """
    objects: list[bytes] = []

    def add(body: bytes) -> int:
        objects.append(body)
        return len(objects)

    def stream(data: bytes, extra: bytes = b"") -> bytes:
        return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(data), extra, data)

    catalog, tree = add(b""), add(b"")
    unicode_map = add(stream(_TO_UNICODE))
    descriptor = add(
        b"<< /Type /FontDescriptor /FontName /Batang /Flags 4 /FontBBox [0 -200 1000 900] /ItalicAngle 0 /Ascent 880 "
        b"/Descent -120 /CapHeight 700 /StemV 80 >>"
    )
    cid = add(
        b"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /Batang /CIDSystemInfo << /Registry (Adobe) "
        b"/Ordering (Identity) /Supplement 0 >> /DW 1000 /W [32 126 500] /FontDescriptor %d 0 R >>" % descriptor
    )
    font = add(
        b"<< /Type /Font /Subtype /Type0 /BaseFont /Batang /Encoding /Identity-H /DescendantFonts [%d 0 R] "
        b"/ToUnicode %d 0 R >>" % (cid, unicode_map)
    )
    dot = add(
        stream(
            b"\x80", b"/Type /XObject /Subtype /Image /Width 1 /Height 1 /BitsPerComponent 8 /ColorSpace /DeviceGray"
        )
    )
    kids = []
    for lines in pages:
        parts = [b"q 595 0 0 842 0 0 cm /Dot Do Q"] if picture else []
        parts += [_TURNS[quarters] + b" cm", drawn]
        for left, bottom, size, text in lines:
            code = text.encode("utf-16-be").hex().encode()
            parts.append(b"BT /F1 %g Tf 1 0 0 1 %g %g Tm <%s> Tj ET" % (size, left, bottom, code))
        content = add(stream(b"\n".join(parts)))
        kids.append(
            add(
                b"<< /Type /Page /Rotate %d /Parent %d 0 R /MediaBox [0 0 595 842] /Contents %d 0 R "
                b"/Resources << /Font << /F1 %d 0 R >> /XObject << /Dot %d 0 R >> >> >>"
                % (90 * quarters if rotate else 0, tree, content, font, dot)
            )
        )
    objects[catalog - 1] = b"<< /Type /Catalog /Pages %d 0 R >>" % tree
    objects[tree - 1] = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (len(kids), b" ".join(b"%d 0 R" % k for k in kids))
    return _file(objects, catalog)


def _file(objects: list[bytes], catalog: int) -> bytes:
    out = bytearray(b"%PDF-1.7\n")
    places = []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer << /Size %d /Root %d 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, catalog, start)
    return bytes(out)
