"""A restoration as a PREMIS 3 event, for the archive's own system to take in.

PREMIS Data Dictionary for Preservation Metadata, version 3.0 (Library of Congress, 2015).
"""

import uuid
from pathlib import Path
from xml.etree import ElementTree

from dunrestore.provenance.beside import beside
from dunrestore.provenance.record import FileFacts, Record
from dunrestore.provenance.wording import share_changed
from dunrestore.storage.atomic import write_text

NAMESPACE = "http://www.loc.gov/premis/v3"
SUFFIX = ".premis.xml"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_MIME = {
    "tiff": "image/tiff",
    "png": "image/png",
    "jpeg": "image/jpeg",
    "jp2": "image/jp2",
    "webp": "image/webp",
}


def path_of(output: Path) -> Path:
    """Where the event of an output lies."""
    return beside(output, SUFFIX)


def write(record: Record, output: Path) -> Path:
    """Write the PREMIS event of a restoration beside its output.

    Raises:
        FileAccessError: if it cannot be written.
    """
    path = path_of(output)
    write_text(path, to_xml(record))
    return path


def to_xml(record: Record) -> str:
    """Two objects (input, output), the event, and the agent, as one PREMIS document."""
    ElementTree.register_namespace("premis", NAMESPACE)
    ElementTree.register_namespace("xsi", _XSI)
    root = ElementTree.Element(f"{{{NAMESPACE}}}premis", {"version": "3.0"})
    for facts in (record.input, record.output):
        _object(root, facts)
    _event(root, record)
    program = _add(root, "agent")
    _identifier(program, "agentIdentifier", "local", _agent(record))
    _add(program, "agentName", "dunrestore")
    _add(program, "agentType", "software")
    _add(program, "agentVersion", record.execution.software["dunrestore"])
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _object(root: ElementTree.Element, facts: FileFacts) -> None:
    one = _add(root, "object", kind="premis:file")
    _identifier(one, "objectIdentifier", "SHA-256", facts.sha256)
    characteristics = _add(one, "objectCharacteristics")
    fixity = _add(characteristics, "fixity")
    _add(fixity, "messageDigestAlgorithm", "SHA-256")
    _add(fixity, "messageDigest", facts.sha256)
    _add(characteristics, "size", str(facts.bytes))
    designation = _add(_add(characteristics, "format"), "formatDesignation")
    _add(designation, "formatName", _MIME[facts.format])
    _add(one, "originalName", facts.name)


def _event(root: ElementTree.Element, record: Record) -> None:
    event = _add(root, "event")
    name = uuid.uuid5(uuid.NAMESPACE_URL, f"{record.output.sha256} {record.created}")
    _identifier(event, "eventIdentifier", "UUID", str(name))
    copied = record.input.sha256 == record.output.sha256
    _add(event, "eventType", "replication" if copied else "modification")
    _add(event, "eventDateTime", record.created)
    model = record.model
    _add(
        _add(event, "eventDetailInformation"),
        "eventDetail",
        f"{record.deed} by the trained model {model.name} ({model.architecture}, SHA-256"
        f" {model.sha256}); {share_changed(record.changed_percent)} % of the pixels changed",
    )
    outcome = _add(event, "eventOutcomeInformation")
    _add(outcome, "eventOutcome", "warning" if record.warnings else "success")
    for warning in record.warnings:
        _add(_add(outcome, "eventOutcomeDetail"), "eventOutcomeDetailNote", warning)
    agent = _identifier(event, "linkingAgentIdentifier", "local", _agent(record))
    _add(agent, "linkingAgentRole", "executing program")
    for facts, role in ((record.input, "source"), (record.output, "outcome")):
        link = _identifier(event, "linkingObjectIdentifier", "SHA-256", facts.sha256)
        _add(link, "linkingObjectRole", role)


def _agent(record: Record) -> str:
    return f"dunrestore {record.execution.software['dunrestore']}"


def _identifier(
    parent: ElementTree.Element, name: str, kind: str, value: str
) -> ElementTree.Element:
    identifier = _add(parent, name)
    _add(identifier, f"{name}Type", kind)
    _add(identifier, f"{name}Value", value)
    return identifier


def _add(
    parent: ElementTree.Element, name: str, text: str | None = None, *, kind: str = ""
) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, f"{{{NAMESPACE}}}{name}")
    if kind:
        element.set(f"{{{_XSI}}}type", kind)
    if text is not None:
        # File names may hold what XML cannot: control characters and bytes that are no letters.
        element.text = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
    return element
