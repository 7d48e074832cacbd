"""What is added to an XMP packet is there, once, and every other byte is as it stood."""

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dunrestore.errors import InputError
from dunrestore.imaging.metadata import xmp
from dunrestore.imaging.metadata.xmp import COMPOSITE, EVENT, IPTC_EXT, RDF, XMP_MM, Event

EDIT = Event("edited", "2026-11-23T12:00:00+00:00", "dunrestore 0.1 <&>", 'model="arin" & more')
HEAD = b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>'
TAIL = b'   \n\n<?xpacket end="w"?>'


def packet(body, rdf=b"rdf"):
    return (
        HEAD
        + b'<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Core 5.6">'
        + (b'<%s:RDF xmlns:%s="' % (rdf, rdf) + RDF.encode() + b'">' if body is not None else b"")
        + (body or b"")
        + (b"</%s:RDF>" % rdf if body is not None else b"")
        + b"</x:xmpmeta>"
        + TAIL
    )


DESCRIBED = (
    b'<rdf:Description rdf:about="uuid:1 &amp; 2" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    b" dc:format='image/tiff'><dc:creator><rdf:Seq><rdf:li>\xe6\x95\xa6\xe7\x85\x8c</rdf:li>"
    b"</rdf:Seq></dc:creator></rdf:Description>"
)
DOCTYPE = b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'
OLD_TYPE = b"http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
ATTRIBUTE = (
    b'<rdf:Description rdf:about="" xmlns:ext="'
    + IPTC_EXT.encode()
    + b"\" ext:DigitalSourceType='"
    + OLD_TYPE
    + b"'/>"
)
ELEMENT = (
    b'<rdf:Description rdf:about="" xmlns:ext="'
    + IPTC_EXT.encode()
    + b'"><ext:DigitalSourceType>'
    + OLD_TYPE
    + b"</ext:DigitalSourceType></rdf:Description>"
)
RESOURCE = (
    b'<rdf:Description rdf:about="" xmlns:ext="'
    + IPTC_EXT.encode()
    + b'"><ext:DigitalSourceType rdf:resource="'
    + OLD_TYPE
    + b'"/></rdf:Description>'
)
HISTORY = (
    b'<rdf:Description rdf:about="" xmlns:xmpMM="'
    + XMP_MM.encode()
    + b'" xmlns:stEvt="'
    + EVENT.encode()
    + b'"><xmpMM:History><rdf:Seq><rdf:li stEvt:action="created"/></rdf:Seq>'
    b"</xmpMM:History></rdf:Description>"
)
EMPTY_SEQUENCE = (
    b'<rdf:Description rdf:about="" xmlns:xmpMM="'
    + XMP_MM.encode()
    + b'"><xmpMM:History><rdf:Seq/></xmpMM:History></rdf:Description>'
)
EMPTY_HISTORY = (
    b'<rdf:Description rdf:about="" xmlns:xmpMM="'
    + XMP_MM.encode()
    + b'"><xmpMM:History/></rdf:Description>'
)
BODIES = {
    "nothing": b"",
    "described": DESCRIBED,
    "attribute": ATTRIBUTE,
    "element": ELEMENT,
    "resource": RESOURCE,
    "history": HISTORY,
    "empty-sequence": EMPTY_SEQUENCE,
    "empty-history": EMPTY_HISTORY,
    "all": DESCRIBED + ATTRIBUTE + HISTORY,
}


def root_of(data):
    return ET.fromstring(data.decode("utf-8"))


def source_types(root):
    name = f"{{{IPTC_EXT}}}DigitalSourceType"
    found = [d.get(name) for d in root.iter(f"{{{RDF}}}Description") if d.get(name)]
    return found + [e.text for e in root.iter(name)]


def history(root):
    (found,) = root.iter(f"{{{XMP_MM}}}History")
    return found.findall(f"{{{RDF}}}Seq/{{{RDF}}}li")


@pytest.mark.parametrize("name", BODIES)
def test_both_are_added_to_whatever_stood_there(name):
    before = packet(BODIES[name])
    after = xmp.record(before, COMPOSITE, EDIT)
    root = root_of(after)
    assert source_types(root) == [COMPOSITE]
    entries = history(root)
    assert len(entries) == 1 + (name in ("history", "all"))
    values = {child.tag.removeprefix(f"{{{EVENT}}}"): child.text for child in entries[-1]}
    assert values == {
        "action": "edited",
        "when": EDIT.when,
        "softwareAgent": EDIT.software,
        "parameters": EDIT.parameters,
        "changed": "/",
    }
    assert after.startswith(HEAD)
    assert after.endswith(TAIL)


def test_what_stood_there_keeps_its_bytes():
    after = xmp.record(packet(DESCRIBED + HISTORY), COMPOSITE, EDIT)
    assert DESCRIBED in after
    assert b'<rdf:li stEvt:action="created"/>' in after
    abouts = {d.get(f"{{{RDF}}}about") for d in root_of(after).iter(f"{{{RDF}}}Description")}
    assert abouts == {"uuid:1 & 2", ""}


def test_a_second_record_replaces_the_type_and_lengthens_the_history():
    once = xmp.record(None, COMPOSITE, EDIT)
    twice = xmp.record(once, xmp.ENHANCED, EDIT)
    assert source_types(root_of(twice)) == [xmp.ENHANCED]
    assert len(history(root_of(twice))) == 2


def test_other_prefixes_and_an_empty_rdf_are_understood():
    empty = HEAD + b'<r:RDF xmlns:r="' + RDF.encode() + b'" />' + TAIL
    after = xmp.record(empty, COMPOSITE, EDIT)
    assert source_types(root_of(after)) == [COMPOSITE]
    assert b"</r:RDF>" in after


def test_a_source_type_of_something_inside_the_picture_is_left_alone():
    inner = (
        b'<rdf:Description rdf:about="" xmlns:ext="'
        + IPTC_EXT.encode()
        + b'"><ext:ArtworkOrObject><rdf:Bag><rdf:li rdf:parseType="Resource">'
        b"<ext:DigitalSourceType>x</ext:DigitalSourceType></rdf:li></rdf:Bag></ext:ArtworkOrObject></rdf:Description>"
    )
    after = xmp.record(packet(inner), COMPOSITE, EDIT)
    assert inner in after
    assert sorted(source_types(root_of(after))) == sorted(["x", COMPOSITE])


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_encodings_stay(encoding):
    wide = "\ufeff".encode(encoding) + packet(DESCRIBED)[len(HEAD) :].decode().encode(encoding)
    after = xmp.record(wide, COMPOSITE, EDIT)
    text = after.decode(encoding)
    assert text[0] == "\ufeff"
    assert source_types(ET.fromstring(text[1:])) == [COMPOSITE]
    assert DESCRIBED.decode() in text


@pytest.mark.parametrize(
    "broken",
    [b"<x", b"no xml", packet(None), b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', b"\xff<"],
)
def test_a_damaged_packet_is_refused(broken):
    with pytest.raises(InputError, match="XMP"):
        xmp.record(broken, COMPOSITE, EDIT)


@settings(deadline=None)
@given(st.binary(max_size=60), st.integers(0, 400))
def test_noise_never_ends_in_another_error(noise, at):
    whole = packet(DESCRIBED + ATTRIBUTE + HISTORY)
    broken = whole[:at] + noise + whole[at + len(noise) :]
    try:
        after = xmp.record(broken, COMPOSITE, EDIT)
    except InputError:
        return
    assert COMPOSITE in source_types(root_of(after.rstrip(b"\0")))
