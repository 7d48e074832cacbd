"""Adding to an XMP packet what was done to a picture, every other byte as it stood.

The packet is parsed to find the places, and text is inserted there; it is never written anew.
After the XMP specification part 1 (ISO 16684-1) and the IPTC photo metadata standard.
"""

import codecs
import re
from dataclasses import dataclass, field
from xml.parsers import expat
from xml.sax.saxutils import escape

from dunrestore.errors import InputError

COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""IPTC digital source type of a picture into which a trained algorithm filled in content."""
ENHANCED = "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicallyEnhanced"
"""The same where only noise was removed."""

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
IPTC_EXT = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
XMP_MM = "http://ns.adobe.com/xap/1.0/mm/"
EVENT = "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#"

_NEW = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}">\n'
    '</rdf:RDF></x:xmpmeta>\n<?xpacket end="w"?>'
).encode()
_TAG = re.compile(rb"""<([^\s/>]+)(?:\s+[^\s=>]+\s*=\s*(?:"[^"]*"|'[^']*'))*\s*(/?)>""")


@dataclass(frozen=True)
class Event:
    """One entry of a picture's history.

    Attributes:
        action: what was done, one of XMP's verbs, such as ``edited``.
        when: ISO 8601 date and time with its zone.
        software: name and version of the program.
        parameters: how, in words.
    """

    action: str
    when: str
    software: str
    parameters: str


def record(packet: bytes | None, source_type: str, event: Event) -> bytes:
    """Set the digital source type and append to the history.

    Args:
        packet: the picture's XMP, None if it has none.
        source_type: ``COMPOSITE``, ``ENHANCED`` or another IPTC digital source type.
        event: what was done.

    Returns:
        The packet with both; everything else in it keeps its bytes. An older digital source type
        is replaced, older history stays.

    Raises:
        InputError: if the packet is no XMP.
    """
    encoding, mark = _encoding(packet or b"")
    if encoding == "utf-8":
        text, bom = packet or _NEW, b""
    else:
        assert packet is not None
        text, bom = _recoded(packet[len(mark) :], encoding, "utf-8"), mark
    changed = _with_event(_with_source_type(text, source_type), event)
    return changed if encoding == "utf-8" else bom + _recoded(changed, "utf-8", encoding)


def _encoding(packet: bytes) -> tuple[str, bytes]:
    for mark, name in (
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if packet.startswith(mark):
            return name, mark
    for head, name in ((b"<\0\0\0", "utf-32-le"), (b"\0\0\0<", "utf-32-be")):
        if packet.startswith(head):
            return name, b""
    for head, name in ((b"<\0", "utf-16-le"), (b"\0<", "utf-16-be")):
        if packet.startswith(head):
            return name, b""
    return "utf-8", b""


def _recoded(data: bytes, old: str, new: str) -> bytes:
    try:
        return data.decode(old).encode(new)
    except UnicodeDecodeError as error:
        raise _damaged() from error


def _damaged() -> InputError:
    return InputError("its XMP is damaged", next_step="repair or remove the XMP, then try again")


@dataclass
class _Places:
    """Byte ranges of what matters in a packet; ranges are those of whole elements or tags."""

    rdf: tuple[int, int] | None = None  # the tag that ends rdf:RDF
    about: str = ""
    source_type: tuple[int, int] | None = None
    source_type_tag: tuple[int, int] | None = None
    history: tuple[int, int] | None = None
    sequence: tuple[int, int] | None = None  # the tag that ends the history's rdf:Seq
    prefixes: set[str] = field(default_factory=set[str])


class _Finder:
    """Walks through a packet and notes the places."""

    def __init__(self, packet: bytes) -> None:
        self.packet = packet
        self.places = _Places()
        self._stack: list[tuple[str, int]] = []
        self._described = False
        self._parser = expat.ParserCreate("utf-8", " ")
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.StartNamespaceDeclHandler = self._declared
        self._parser.StartDoctypeDeclHandler = self._refuse

    def find(self) -> _Places:
        try:
            # Some writers pad packets with zeros, which XML does not know.
            self._parser.Parse(self.packet.rstrip(b"\0"), True)
        except (expat.ExpatError, ValueError) as error:
            raise _damaged() from error
        if self.places.rdf is None:
            raise _damaged()
        return self.places

    def _refuse(self, *_: object) -> None:
        raise _damaged()

    def _declared(self, prefix: str | None, uri: str) -> None:
        if uri == IPTC_EXT and prefix:
            self.places.prefixes.add(prefix)

    def _path(self) -> list[str]:
        names = [name for name, _ in self._stack]
        return names[names.index(f"{RDF} RDF") + 1 :] if f"{RDF} RDF" in names else ["outside"]

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        at = self._parser.CurrentByteIndex
        if name == f"{RDF} Description" and not self._path():
            if not self._described:
                self.places.about = attributes.get(f"{RDF} about", attributes.get("about", ""))
                self._described = True
            if f"{IPTC_EXT} DigitalSourceType" in attributes:
                self.places.source_type_tag = self._tag(at)
        self._stack.append((name, at))

    def _end(self, name: str) -> None:
        _, start = self._stack.pop()
        opening = _TAG.match(self.packet, start)
        empty = opening is not None and opening[2] == b"/"
        last = self._tag(start if empty else self._parser.CurrentByteIndex)
        path = [*self._path(), name]
        if name == f"{RDF} RDF":
            self.places.rdf = last
        elif path == [f"{RDF} Description", f"{IPTC_EXT} DigitalSourceType"]:
            self.places.source_type = (start, last[1])
        elif path == [f"{RDF} Description", f"{XMP_MM} History"]:
            self.places.history = (start, last[1])
        elif path == [f"{RDF} Description", f"{XMP_MM} History", f"{RDF} Seq"]:
            self.places.sequence = last

    def _tag(self, at: int) -> tuple[int, int]:
        found = _TAG.match(self.packet, at)
        end = found.end() if found else self.packet.index(b">", at) + 1
        return at, end


def _with_source_type(packet: bytes, source_type: str) -> bytes:
    places = _Finder(packet).find()
    element = (
        f'<Iptc4xmpExt:DigitalSourceType xmlns:Iptc4xmpExt="{IPTC_EXT}">'
        f"{escape(source_type)}</Iptc4xmpExt:DigitalSourceType>"
    )
    if places.source_type is not None:
        start, end = places.source_type
        return packet[:start] + element.encode() + packet[end:]
    if places.source_type_tag is not None:
        start, end = places.source_type_tag
        tag = packet[start:end]
        names = "|".join(re.escape(prefix) for prefix in places.prefixes).encode()
        value = escape(source_type, {'"': "&quot;"}).encode()
        pattern = rb"(\s(?:" + names + rb"):DigitalSourceType\s*=\s*)(?:\"[^\"]*\"|'[^']*')"
        return packet[:start] + re.sub(pattern, rb'\1"' + value + b'"', tag) + packet[end:]
    return _into(packet, places.rdf, _description(places, element))


def _with_event(packet: bytes, event: Event) -> bytes:
    places = _Finder(packet).find()
    values = {
        "action": event.action,
        "when": event.when,
        "softwareAgent": event.software,
        "parameters": event.parameters,
        "changed": "/",
    }
    inside = "".join(f"<stEvt:{k}>{escape(v)}</stEvt:{k}>" for k, v in values.items())
    spaces = f'xmlns:rdf="{RDF}" xmlns:stEvt="{EVENT}"'
    item = f'<rdf:li {spaces} rdf:parseType="Resource">{inside}</rdf:li>'
    if places.sequence is not None:
        return _into(packet, places.sequence, item)
    history = (
        f'<xmpMM:History xmlns:xmpMM="{XMP_MM}" xmlns:rdf="{RDF}"><rdf:Seq>{item}</rdf:Seq>'
        "</xmpMM:History>"
    )
    if places.history is not None:  # one without entries
        start, end = places.history
        return packet[:start] + history.encode() + packet[end:]
    return _into(packet, places.rdf, _description(places, history))


def _description(places: _Places, content: str) -> str:
    about = escape(places.about, {'"': "&quot;"})
    return f'<rdf:Description xmlns:rdf="{RDF}" rdf:about="{about}">{content}</rdf:Description>\n'


def _into(packet: bytes, tag: tuple[int, int] | None, content: str) -> bytes:
    """``packet`` with ``content`` before the end tag at ``tag``, or inside an empty element."""
    assert tag is not None
    start, end = tag
    if packet.startswith(b"</", start):
        return packet[:start] + content.encode() + packet[start:]
    found = _TAG.match(packet, start)
    if found is None or found[2] != b"/":
        raise _damaged()
    opened = packet[start : found.start(2)] + b">"
    return packet[:start] + opened + content.encode() + b"</" + found[1] + b">" + packet[end:]
