"""The pages that say what the status says."""

from __future__ import annotations

import json
from html import escape

from ...http import reason_phrase

__all__ = ["CONTENT_SECURITY_POLICY", "STYLE", "html_page", "problem_document"]

# Of the pages here: that of the application may not allow their style.
CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'"

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:15vh auto 0;padding:0 1rem;"
    "color:#222;background:#fff}h1{font-size:1.5rem}small{color:#666}"
    "@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}small{color:#999}}"
)


def html_page(status: int) -> str:
    """Return a page of HTML that is complete in itself."""
    reason = escape(reason_phrase(status) or "Error")
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{reason}</title><style>{STYLE}</style>"
        f"<h1>{reason}</h1><p><small>{status}</small></p></html>\n"
    )


def problem_document(status: int) -> str:
    """Return a problem document of no special type (RFC 9457, 4.2.1)."""
    return json.dumps({"status": status, "title": reason_phrase(status) or "Error"})
