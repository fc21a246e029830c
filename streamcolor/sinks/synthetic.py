"""How an output says that its color is not what a camera saw."""

import html
from collections.abc import Mapping

KEY = "streamcolor"  # our own metadata key, wherever a container has free keys (Matroska shows it as STREAMCOLOR)
COMMON_KEY = "comment"  # the key that every container with metadata has, so the statement is always there too

DIGITAL_SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicallyEnhanced"


def synthetic_color(*, version: str, network: str) -> str:
    """State that a and b (CIE L*a*b*) of an output were predicted."""
    return f"synthetic color: a, b predicted by streamcolor {version}, network {network}"


def tagged(metadata: Mapping[str, str], statement: str, container: str) -> dict[str, str]:
    """Metadata for FFmpeg's muxer `container`, with the statement under our key and appended to the comment."""
    if not statement:
        return dict(metadata)
    # MPEG-TS has no comment: the only free text of its service table beside the title is the provider.
    common = "service_provider" if container == "mpegts" else COMMON_KEY
    known = metadata.get(common, "")
    text = known if statement in known else "; ".join(filter(None, (known, statement)))
    return {**metadata, KEY: statement, common: text}


def xmp(statement: str) -> bytes:
    """Make an XMP packet for pictures: IPTC's digital source type, and the statement as the description."""
    text = html.escape(statement, quote=False)
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
        ' xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<Iptc4xmpExt:DigitalSourceType>{DIGITAL_SOURCE}</Iptc4xmpExt:DigitalSourceType>"
        f'<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{text}</rdf:li></rdf:Alt></dc:description>'
        '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()
