"""Content types by the suffix of a name: a fixed table, the same on every machine."""

from __future__ import annotations

__all__ = ["CONTENT_TYPES", "content_type_of"]

_UNKNOWN = "application/octet-stream"

CONTENT_TYPES = {
    # text, which gets its charset below
    "css": "text/css",
    "csv": "text/csv",
    "htm": "text/html",
    "html": "text/html",
    "ics": "text/calendar",
    "js": "text/javascript",
    "md": "text/markdown",
    "mjs": "text/javascript",
    "txt": "text/plain",
    "vtt": "text/vtt",
    # data, which is UTF-8 or says what it is
    "atom": "application/atom+xml",
    "geojson": "application/geo+json",
    "json": "application/json",
    "jsonld": "application/ld+json",
    "map": "application/json",
    "rss": "application/rss+xml",
    "webmanifest": "application/manifest+json",
    "xhtml": "application/xhtml+xml",
    "xml": "application/xml",
    # images
    "apng": "image/apng",
    "avif": "image/avif",
    "bmp": "image/bmp",
    "gif": "image/gif",
    "ico": "image/vnd.microsoft.icon",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "jxl": "image/jxl",
    "png": "image/png",
    "svg": "image/svg+xml",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "webp": "image/webp",
    # fonts
    "otf": "font/otf",
    "ttf": "font/ttf",
    "woff": "font/woff",
    "woff2": "font/woff2",
    # sound and film
    "aac": "audio/aac",
    "flac": "audio/flac",
    "m3u8": "application/vnd.apple.mpegurl",
    "m4a": "audio/mp4",
    "mov": "video/quicktime",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "mpeg": "video/mpeg",
    "oga": "audio/ogg",
    "ogg": "audio/ogg",
    "ogv": "video/ogg",
    "opus": "audio/ogg",
    "wav": "audio/wav",
    "weba": "audio/webm",
    "webm": "video/webm",
    # documents and archives
    "7z": "application/x-7z-compressed",
    "bz2": "application/x-bzip2",
    "epub": "application/epub+zip",
    "gz": "application/gzip",
    "pdf": "application/pdf",
    "rtf": "application/rtf",
    "tar": "application/x-tar",
    "wasm": "application/wasm",
    "zip": "application/zip",
    "zst": "application/zstd",
}


def content_type_of(name: str, table: dict[str, str]) -> str:
    """Return the Content-Type of a file: text is UTF-8; what the table lacks is only bytes.

    Args:
      name: Of the file.
      table: Types by suffix, in lower case without the dot.
    """
    _, dot, suffix = name.rpartition(".")
    kind = table.get(suffix.lower(), _UNKNOWN) if dot else _UNKNOWN
    is_bare_text = kind.startswith("text/") and ";" not in kind
    return f"{kind}; charset=utf-8" if is_bare_text else kind
