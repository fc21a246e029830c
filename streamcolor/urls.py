"""Addresses as they may be shown to a person: without passwords."""

import ipaddress
import re
from urllib.parse import unquote

_MASK = "***"
# The second form is a password with an unescaped / ? or #. With digits before it, it could be a port and a path with an
# @ as well: better a path that is masked than a password that is shown.
_USERINFO = re.compile(r"(?<=://)(?:[^/?#\n]*@|[^/?#@:\s]+:[^\s]*@)")
_SECRET_VALUE = re.compile(
    r"([?&;_][^=&;#\s]*?(?:pas|pw|token|secret|key|auth|sig|credential)[^=&;#\s]*=)[^&;#\s'\"]*", re.IGNORECASE
)

_kept: set[str] = set()  # secrets that cannot be told from where they stand, such as a token in a path


def keep_secret(secret: str) -> None:
    """Mask `secret` from now on wherever an address is shown. Very short ones would mask half a text."""
    if len(secret) > 3:
        _kept.add(secret)


def shown(url: str) -> str:
    """Return the address with user name, password, secret-looking query values and kept secrets masked."""
    text = _SECRET_VALUE.sub(rf"\1{_MASK}", _USERINFO.sub(f"{_MASK}@", url))
    for secret in sorted(_kept, key=len, reverse=True):
        text = text.replace(secret, _MASK)
    return text


def hidden(text: str, url: str) -> str:
    """Return a message of FFmpeg's that may quote `url`, or parts of it, with the secrets masked."""
    text = shown(text.replace(url, shown(url)))
    for secret in sorted(_secrets(url), key=len, reverse=True):
        text = text.replace(secret, _MASK)
    return text


def _secrets(url: str) -> set[str]:
    """Collect password and masked query values, as written and unescaped; short ones would mask half a text."""
    found = [match[0].rstrip("@").partition(":")[2] for match in _USERINFO.finditer(url)]
    found += [match[0].partition("=")[2] for match in _SECRET_VALUE.finditer(url)]
    return {form for secret in found for form in (secret, unquote(secret)) if len(form) > 2}


def is_local(host: str) -> bool:
    """Whether a host's name, or its address with or without brackets, leads to this machine and nowhere else."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
