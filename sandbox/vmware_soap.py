"""Read and write SOAP as a vCenter does.

The serializers of pyVmomi give each value the type that the API description requires.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

from pyVmomi.SoapAdapter import (
    SOAP_END,
    SOAP_NSMAP,
    SOAP_START,
    XML_HEADER,
    XMLNS_SOAPENV,
    Deserialize,
    SerializeFaultDetail,
    SerializeToStr,
    XmlEscape,
)
from pyVmomi.VmomiSupport import F_OPTIONAL, GuessWsdlMethod, Object

from sandbox.faulty import Answer

VERSION = "vim.version.v7_0"
NAMESPACE = "urn:vim25"
CONTENT_TYPE = "text/xml; charset=utf-8"
_BODY = f"{{{XMLNS_SOAPENV}}}Body"


@dataclass(frozen=True)
class Call:
    """A method of the API, called on the managed object `this`."""

    method: str
    this: str
    arguments: dict[str, Any]


def read(body: bytes) -> Call:
    """Return the call in a request. Raises ET.ParseError or LookupError if there is none."""
    soap_body = ET.fromstring(body).find(_BODY)  # noqa: S314  only tests and the demonstration send it
    if soap_body is None or not len(soap_body):
        raise LookupError("no call")
    sent = soap_body[0]
    method = _local_name(sent.tag)
    this = ""
    arguments: dict[str, Any] = {}
    for parameter in GuessWsdlMethod(method).info.params:
        values = [
            _value(element, parameter)
            for element in sent
            if _local_name(element.tag) == parameter.name
        ]
        if issubclass(parameter.type, list):
            arguments[parameter.name] = values
        else:
            arguments[parameter.name] = values[0] if values else None
    for element in sent:
        if _local_name(element.tag) == "_this":
            this = element.text or ""
    return Call(method, this, arguments)


def _value(element: ET.Element, parameter: Any) -> Any:
    kind = parameter.type.Item if issubclass(parameter.type, list) else parameter.type
    return Deserialize(ET.tostring(element), kind)


def _local_name(tag: str) -> str:
    return tag.rpartition("}")[2]


def result(method: str, value: Any, **headers: str) -> Answer:
    """Return the response to a call. It contains `value`, or nothing if `value` is None."""
    kind = GuessWsdlMethod(method).info.result
    info = Object(name="returnval", type=kind, version=VERSION, flags=F_OPTIONAL)
    inner = "" if value is None else SerializeToStr(value, info, VERSION, _namespaces())
    content = f'<{method}Response xmlns="{NAMESPACE}">{inner}</{method}Response>'
    return Answer(200, _envelope(content), CONTENT_TYPE, headers)


def fault(error: Any, message: str = "") -> Answer:
    """Return the response that reports an error."""
    name = type(error).__name__.rpartition(".")[2]
    info = Object(name=f"{name}Fault", type=object, version=VERSION, flags=F_OPTIONAL)
    detail = SerializeFaultDetail(error, info, VERSION, _namespaces())
    detail = detail.replace(f"<{name}Fault", f'<{name}Fault xmlns="{NAMESPACE}"', 1)
    content = (
        "<soapenv:Fault><faultcode>ServerFaultCode</faultcode>"
        f"<faultstring>{XmlEscape(message or name)}</faultstring>"
        f"<detail>{detail}</detail></soapenv:Fault>"
    )
    return Answer(500, _envelope(content), CONTENT_TYPE)


def _namespaces() -> dict[str, str]:
    return {**SOAP_NSMAP, NAMESPACE: ""}


def _envelope(content: str) -> bytes:
    return f"{XML_HEADER}\n{SOAP_START}{content}{SOAP_END}".encode()
