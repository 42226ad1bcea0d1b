"""Downloads of files that trm checks by their digests."""

import http.client
import urllib.request


def download(address: str, *, most_bytes: int, seconds: float) -> bytes:
    """The content of an address, or its first ``most_bytes``.

    Args:
        address: an https address.
        most_bytes: how much is read.
        seconds: how long to wait for an answer.

    Raises:
        OSError: if it cannot be read; the message is one line.
    """
    try:
        with urllib.request.urlopen(address, timeout=seconds) as answer:
            content: bytes = answer.read(most_bytes)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise OSError(" ".join(str(reason).split())) from error
    return content
