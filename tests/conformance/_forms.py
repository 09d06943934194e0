"""Forms of multipart, Starlette and werkzeug, and what these projects read in them, as data.

``|`` is a line break. Contents are ours; those of the browsers' forms are in the browsers' format.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

# A field, or a file with its name, media type and content.
Field: TypeAlias = tuple[str, str]
File: TypeAlias = tuple[str, str, str | None, bytes]
Outcome: TypeAlias = list[Field | File] | int


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A form, and the fields and files that its project reads in it, or the status of its error.

    Attributes:
      kind: Its Content-Type; empty if there is no body.
      limits: Of `Forms`.
      ours: What we read in it, if that differs.
      why: The reason.
    """

    body: bytes
    theirs: Outcome
    kind: str
    limits: dict[str, int]
    ours: Outcome
    why: str = ""


def case(
    text: str | bytes,
    *theirs: Field | File,
    error: int | None = None,
    kind: str | None = None,
    boundary: str = "b",
    **limits: int,
) -> Case:
    """Make a case of a body."""
    outcome = list(theirs) if error is None else error
    kind = f"multipart/form-data; boundary={boundary}" if kind is None else kind
    return Case(body=wire(text), theirs=outcome, kind=kind, limits=limits, ours=outcome)


def differs(why: str, given: Case, *ours: Field | File, error: int | None = None) -> Case:
    """Have a case say what we read in it, and why."""
    return replace(given, ours=list(ours) if error is None else error, why=why)


def wire(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.replace("|", "\r\n").encode()


def part(options: str, value: str = "1", *, fields: str = "", boundary: str = "b") -> str:
    """Write a part, from its boundary to its last line break."""
    disposition = f"Content-Disposition: form-data; {options}".rstrip(" ")
    return f"--{boundary}|{disposition}|{fields}|{value}|"


def url(text: str | bytes, *theirs: Field | File, error: int | None = None, **limits: int) -> Case:
    """Make a case of an urlencoded body."""
    kind = "application/x-www-form-urlencoded"
    data = text if isinstance(text, bytes) else text.encode()
    return case(data, *theirs, error=error, kind=kind, boundary="", **limits)


def browser(boundary: str, kind: str, folder: str, text: str, *names: str) -> Case:
    """Make a form of two files and a text, as browsers have sent it."""
    parts = [
        part(
            f'name="file{index}"; filename="{folder}{name}"',
            f"\0content{index}",
            fields=f"Content-Type: {kind}|",
            boundary=boundary,
        )
        for index, name in enumerate(names, 1)
    ]
    parts.append(part('name="text"', text.replace("\r\n", "|"), boundary=boundary))
    files = [
        (f"file{index}", name, kind, b"\0content%d" % index) for index, name in enumerate(names, 1)
    ]
    body = "".join(parts) + f"--{boundary}--|"
    return case(body, ("text", text), *files, boundary=f'"{boundary}"')


FILES_ONLY = "`max_file_bytes` is for files; text has `max_text_bytes` (FM-4)."
COUNTED = "A limit counts what has come, not what a part announces (FM-4)."
FOLDERS = "The name of a file is without folders, of any system (FM-6)."
UNKNOWN = "There is no media type of this name."
NAMELESS = "A field may have an empty name."
CHARSET = "A form is UTF-8, whatever its charset parameter says (RFC 7578, 5.1.2)."
LIMIT = "A limit that is passed is a 413 (RFC 9110, 15.5.14)."
DISPOSITION = "Each part is form-data (RFC 7578, 4.2)."
COUNT = "The limit on the fields also holds for urlencoded forms (FM-4)."
MALFORMED = "A malformed form is a 400, not an empty one (FM-5)."
LINES_END = "Lines end with CRLF (RFC 2046, 5.1.1)."
STAR = "Names of files in the form of RFC 2231 must not be used (RFC 7578, 4.2)."
OWN_LINE = "A boundary has a line break of its own in front of it (RFC 2046, 5.1.1)."

END = "--b--"
PNG = 'name="file1"; filename="random.png"'
TYPE = "Content-Type: image/png|"
FILE = part(PNG, "abc", fields=TYPE)
FILE1: File = ("file1", "random.png", "image/png", b"abc")
HEAD = "--b|Content-Disposition: form-data; name=foo|"
OWN = "Content-Disposition: form-field; name="
FORM_FIELDS = f"--b|{OWN}foo||Hello World|--b|{OWN}bar||bar=baz|--b--"
IE6 = r"C:\Python25\wztest\main\tests\multipart\firefox3-2png1txt" + "\\"
PLAIN = "text/plain"
TXT = "Content-Type: text/plain|"


def browsers(long_text: bool) -> list[Case]:
    dashes = "-" * 27
    cases = [
        browser(
            f"{dashes}186454651713519341951581030105",
            *("image/png", "", "some text", "anchor.png", "application_edit.png"),
        ),
        browser(
            "----------zEO9jQKmLc2Cq88c23Dx19",
            *("image/png", "", "öäü", "arrow_branch.png", "award_star_bronze_1.png"),
        ),
        browser(
            "----WebKitFormBoundaryjdSFhcARk8fyGNy6",
            *("image/png", "", "with ümläüts", "gtk-apply.png", "gtk-no.png"),
        ),
        browser(
            f"{dashes}7d91b03a20128",
            *("image/x-png", IE6, ":-/", "file1.png", "file2.png"),
        ),
    ]
    if long_text:
        text = "--long text\r\n--with boundary\r\n--lookalikes--"
        cases.append(
            browser(
                f"{dashes}14904044739787191031754711748",
                *("image/png", "", text, "accept.png", "add.png"),
            )
        )
    return cases


MULTIPART = [
    # test_push_parser.py
    case("--b--junk"),
    case("--b", error=400),
    case("junk--b--", error=400),
    case("--b\nfoo", error=400),
    case("--b|foo:bar\nbar:baz", error=400),
    case(f"--b|Header: {'x' * 4300}", error=413),
    case(f"--b|Header: {'x' * 4300}|", error=413),
    case("--b|" + "Header: value|" * 9, error=413),
    case('--b|Content-Disposition: form-data;|\tname="foo"||data|--b--', ("foo", "data")),
    case("--b|\tbad: header||data|--b--", error=400),
    case(f"--b|Header: {'v' * 4200}|\t{'m' * 100} value|", error=413),
    case("--b|no-colon||data|--b--", error=400),
    case("--b|:empty-name||data|--b--", error=400),
    *(
        case(f"--b|invalid{each}name:value||data|--b--", error=400)
        for each in (" ", "\0", "\r", "\n", "ö")
    ),
    case(b"--b\r\nX-SomeHeader:bad\xc3\x28value\r\n\r\ndata\r\n--b--", error=400),
    case("--b|Content-Disposition: mixed||data|--b--", error=400),
    case(
        part("name", "") + part("name=", "") + part('name=""', "") + END,
        *(("", ""), ("", ""), ("", "")),
    ),
    case(f"--b|Content-Disposition: form-data;||data|{END}", ("", "data")),
    case(part("name=foo") * 2 + END, error=413, max_fields=1, max_files=0),
    differs(
        FILES_ONLY,
        case(part("name=foo", "123456") + END, error=413, max_file_bytes=5),
        ("foo", "123456"),
    ),
    case(part("name=foo; filename=x", "123456") + END, error=413, max_file_bytes=5),
    case(f"{HEAD}Content-Length: 10||{'x' * 10}|{END}", ("foo", "x" * 10)),
    case(f"{HEAD}Content-Length: 10||{'x' * 11}|{END}", error=400),
    case(f"{HEAD}Content-Length: 10||{'x' * 9}|{END}", error=400),
    *(
        case(f"{HEAD}Content-Length: {value}||{'x' * 4}|{END}", error=400)
        for value in ("+4", "-4", "٤")
    ),
    case(f"{HEAD}Content-Length: 24|Content-Length: 24||{'x' * 24}|{END}", error=400),
    differs(
        COUNTED,
        case(f"{HEAD}Content-Length: 25||{'x' * 24}|{END}", error=413, max_file_bytes=24),
        error=400,
    ),
    case(
        part("name=foo; filename=bar.txt", fields="Content-Type: text/x-foo; charset=ascii|") + END,
        ("foo", "bar.txt", "text/x-foo", b"1"),
    ),
    case("--b|Header: value||--b--", error=400),
    case("--b|Header: value|--b--", error=400),
    case(FILE.removesuffix("|"), error=400),
    case(FILE.removesuffix("|") + END, error=400),
    case(
        FILE.removesuffix("|") + FILE + END,
        (*FILE1[:3], b"abc" + wire(FILE.removesuffix("|"))),
    ),
    case(f"Lots of junk lots of junk|{FILE}{END}", FILE1),
    case(f"ll|{FILE}{END}", FILE1),
    case(f"Preamble\n{FILE}{END}", error=400),
    case("\n--b--", error=400),
    case(f"--bb|{FILE}{END}", error=400),
    *(case(part('name="bad"', f"|--b{each}") + END, error=400) for each in ("...", "\r", "-")),
    case(f"|{FILE}{END}|", FILE1),
    case(f"{END}|junk"),
    case(f"{FILE}{END}|junk", FILE1),
    case("Not a multipart message", error=400),
    case(FILE.replace("--b|", "--bar|--nonsense|") + "--nonsense--", error=400),
    case(FILE, error=400),
    case(f"--b|{END}", error=400),
    case(part(PNG, "abc" * 1024, fields=f"{TYPE}Bad header|") + END, error=400),
    case(part(PNG, "abc" * 1024, fields=f"{TYPE}Bad header: value|") + END, error=400),
    case(f"--b|{TYPE}|{'abc' * 1024}|{END}", error=400),
    case("--b|junk|--b--", error=400),
    differs(
        FOLDERS,
        case(
            part(r'name="test \ \\ ; ö %22 = ;"; filename="test \ \\ ; ö %22 = ;"') + END,
            (r'test \ \\ ; ö " = ;', r'test \ \\ ; ö " = ;', None, b"1"),
        ),
        (r'test \ \\ ; ö " = ;', ' ; ö " = ;', None, b"1"),
    ),
    *browsers(long_text=False),
    # test_header_utils.py
    case(part('name="field"') + END, ("field", "1")),
    case(part('name=""') + END, ("", "1")),
    case(part('name="f"; filename="test.txt"') + END, ("f", "test.txt", None, b"1")),
    case(part('name="f"; filename=""') + END, ("f", "", None, b"1")),
    case(part('name="a%22b"') + END, ('a"b', "1")),
    case(part('name="a%0Db%0Ac"') + END, ("a\rb\nc", "1")),
    case(part('name="f"; filename="a%22b.txt"') + END, ("f", 'a"b.txt', None, b"1")),
    case(part('filename="test.txt"; name="f"') + END, ("f", "test.txt", None, b"1")),
    case(part('name="field"').replace("form-data", "FORM-DATA") + END, ("field", "1")),
    case(part('name="field"').replace("form-data", "form-data ") + END, ("field", "1")),
    case(part("name=field") + END, ("field", "1")),
    case(part(r'name="a\"b"') + END, ('a"b', "1")),
    case(part(r'name="f"; filename="C:\fakepath\a.txt"') + END, ("f", "a.txt", None, b"1")),
    case(part('name="T"; filename="Test.txt"') + END, ("T", "Test.txt", None, b"1")),
    differs(
        FOLDERS,
        case(part(r'name="T"; FileName="Te%22s\\t.txt"') + END, ("T", r'Te"s\\t.txt', None, b"1")),
        ("T", "t.txt", None, b"1"),
    ),
    case(part(r'name="T"; filename="C:\test\bla.txt"') + END, ("T", "bla.txt", None, b"1")),
    case(part(r'name="T"; filename="\\test\bla.txt"') + END, ("T", "bla.txt", None, b"1")),
    case(part('name="T"; filename="täst.txt"') + END, ("T", "täst.txt", None, b"1")),
    # test_wsgi_parser.py
    case(
        part(PNG, "abc", fields=TYPE) + part('name="text1"', "abc") + END,
        *(("text1", "abc"), FILE1),
    ),
    case(END),
    case("", error=400),
    url("a=b&c=d", ("a", "b"), ("c", "d")),
    differs(
        UNKNOWN,
        case("a=b&c=d", ("a", "b"), ("c", "d"), kind="application/x-url-encoded"),
        error=415,
    ),
    url("a=ƀ♭&e=%E1%B8%9F%E2%99%AE", ("a", "ƀ♭"), ("e", "ḟ♮")),
    differs(
        NAMELESS,
        url("name_only&empty_value=&=empty_name", ("name_only", ""), ("empty_value", "")),
        ("name_only", ""),
        ("empty_value", ""),
        ("", "empty_name"),
    ),
    case("a=b", error=415, kind="multipart/fantasy"),
    case(END, error=400, kind="multipart/form-data"),
    differs(
        CHARSET,
        case(END, error=400, kind="multipart/form-data; boundary=b; charset=does-not-exist"),
    ),
    differs(
        CHARSET,
        case("a=b", error=400, kind="application/x-www-form-urlencoded; charset=does-not-exist"),
        ("a", "b"),
    ),
    url("a=" + "b" * 1024, error=413, max_text_bytes=1024),
    url("a=1&b=2&c=3", ("a", "1"), ("b", "2"), ("c", "3"), max_fields=3),
    url("a=1&b=2&c=3", error=413, max_fields=2),
    case(part('name="f1"; filename="a"') + part('name="f2"; filename="b"'), error=400),
    # test_legacy_parser.py
    case(
        part(PNG, "abc" * 1024, fields=TYPE) + part(PNG, "def" * 1024, fields=TYPE) + END,
        *((*FILE1[:3], b"abc" * 1024), (*FILE1[:3], b"def" * 1024)),
    ),
    case(
        f"--b|Content-Disposition: form-data;|\t{PNG}|{TYPE}|abc|"
        '--b|Content-Disposition: form-data;| name="text"||two\n lines|\x20and ümläuts!|--b--',
        *(("text", "two\n lines\r\n and ümläuts!"), FILE1),
    ),
    case(part('name="f"; filename="a"', "x" * 1025) + END, error=413, max_file_bytes=1024),
    case(
        part('name="f"; filename="a"', "x" * 1025) + END,
        ("f", "a", None, b"x" * 1025),
        spool_bytes=1024,
    ),
]

# One that a library splits in its own pieces of 64 KiB, at line breaks.
LINES = "\n".join(["\r" * 31] * 2045 + ["y" * 31]) + "\r\n"
LINES += "\n".join(["\r" * 31] * 2047 + ["x" * 30])
RFC2231 = (
    f"--b|{TXT}Content-Disposition: form-data; name=rfc2231;|\tfilename*0*=ascii''a%20b%20;|"
    '\tfilename*1*=c%20d%20;|\tfilename*2="e f.txt"||content|--b--'
)

TWO = part("name=foo") + part("name=bar") + END
FOO_BAR = [("foo", "1"), ("bar", "1")]

WERKZEUG = [
    # test_formparser.py
    url("foo=Hello+World&bar=baz", ("foo", "Hello World"), ("bar", "baz"), max_bytes=400),
    url("foo=Hello+World&bar=baz", error=413, max_text_bytes=7),
    url("foo=Hello+World&bar=baz", ("foo", "Hello World"), ("bar", "baz"), max_text_bytes=400),
    url("foo=123456", error=413, max_bytes=4),
    differs(
        DISPOSITION,
        case(FORM_FIELDS, ("foo", "Hello World"), ("bar", "bar=baz"), max_bytes=400),
        error=400,
    ),
    differs(DISPOSITION, case(FORM_FIELDS, error=413, max_text_bytes=7), error=400),
    differs(
        DISPOSITION,
        case(FORM_FIELDS, ("foo", "Hello World"), ("bar", "bar=baz"), max_text_bytes=400),
        error=400,
    ),
    differs(DISPOSITION, case(FORM_FIELDS, error=413, max_fields=1, max_files=0), error=400),
    differs(COUNT, url("a=1&b=2", ("a", "1"), ("b", "2"), max_fields=1), error=413),
    differs(MALFORMED, url(b"\x80"), error=400),
    differs(MALFORMED, case(FORM_FIELDS, kind="multipart/form-data"), error=400),
    case(
        wire(part("name=tx3065", "")).removesuffix(b"\r\n") + LINES.encode() + b"\r\n--b--",
        ("tx3065", LINES),
    ),
    case("", kind=""),
    *(
        case(
            part('name="foo"; filename="test.txt"', "\0" * 65535 + "\r" * count) + END,
            ("foo", "test.txt", None, b"\0" * 65535 + b"\r" * count),
        )
        for count in (1, 2)
    ),
    *browsers(long_text=True),
    case(
        part('name="title"', "2010")
        + part('name="upload"; filename="Council Meeting 02-22-2010doc.doc"')
        + END,
        *(("title", "2010"), ("upload", "Council Meeting 02-22-2010doc.doc", None, b"1")),
    ),
    differs(
        MALFORMED,
        case(part('name="test"; filename="test.txt"', "no end", fields=TXT).removesuffix("|")),
        error=400,
    ),
    case(part('name="test"; filename="test.txt"') + END, ("test", "test.txt", None, b"1")),
    case("||" + part('name="foo"') + END, ("foo", "1")),
    case(
        part(
            'name="foo"; filename="foo.txt"',
            fields="X-Custom-Header: blah|Content-Type: text/plain; charset=utf-8|",
        )
        + END,
        ("foo", "foo.txt", PLAIN, b"1"),
    ),
    *(
        differs(LINES_END, case(TWO.replace("|", ending), *FOO_BAR), error=400)
        for ending in ("\n", "\r")
    ),
    case(TWO, *FOO_BAR),
    case("--b||Hello World|--b--", error=400),
    case(f"--b|{OWN}foo||Hello World|", error=400),
    case(END),
    differs(
        STAR,
        case(RFC2231, ("rfc2231", "a b c d e f.txt", PLAIN, b"content")),
        ("rfc2231", "content"),
    ),
    differs(
        DISPOSITION, case(f"--b|{OWN}a||{'a' * 15}|--b--", error=413, max_text_bytes=10), error=400
    ),
    # sansio/test_multipart.py
    case(
        "|" + part('name="f"', "ß∑œß∂ƒå∂") + part('name="l"; filename="bob"', "asd") + "--b--|    ",
        *(("f", "ß∑œß∂ƒå∂"), ("l", "bob", None, b"asd")),
    ),
    *(
        case(
            "|" + part('name="test"; filename="file"', f"{start}|BCDE") + END,
            ("test", "file", None, wire(f"{start}|BCDE")),
        )
        for start in ("A", "\n", "\r", "\r\n", "\n\r", "A\n", "A\r", "A\r\n", "A\n\r")
    ),
    case(
        part('name="f"', "longer than it|also longer, with a line break", boundary="--b")
        + "----b--|",
        ("f", "longer than it\r\nalso longer, with a line break"),
        boundary="--b",
    ),
    differs(
        OWN_LINE,
        case(
            part('name="text"', "Some Text", fields='Content-Type: text/plain; charset="UTF-8"|')
            + f'--b|Content-Disposition: form-data; name="empty"|{TXT}|--b--',
            *(("text", "Some Text"), ("empty", "")),
        ),
        error=400,
    ),
]

NAMED = 'name="file"; filename="{}"'

STARLETTE = [
    # test_formparsers.py
    case(part('name="some"', "data") + END, ("some", "data")),
    case(
        part('name="test"; filename="test.txt"', fields=TXT) + END,
        ("test", "test.txt", PLAIN, b"1"),
    ),
    case(
        part('name="test1"; filename="test1.txt"', fields=TXT)
        + part('name="test2"; filename="test2.txt"', "2", fields=TXT)
        + END,
        *(("test1", "test1.txt", PLAIN, b"1"), ("test2", "test2.txt", PLAIN, b"2")),
    ),
    case(
        part('name="test1"')
        + part('name="test2"; filename="test2.txt"', "2", fields=f"x-custom: f2|{TXT}")
        + END,
        *(("test1", "1"), ("test2", "test2.txt", PLAIN, b"2")),
    ),
    case(
        part('name="test1"', "abc")
        + part('name="test1"; filename="test1.txt"', fields=TXT)
        + part('name="test1"; filename="test2.txt"', "2", fields=TXT)
        + END,
        *(("test1", "abc"), ("test1", "test1.txt", PLAIN, b"1")),
        ("test1", "test2.txt", PLAIN, b"2"),
    ),
    case(
        part('name="field0"', "value0")
        + part('name="file"; filename="file.txt"', fields=TXT)
        + part('name="field1"', "value1")
        + END,
        *(("field0", "value0"), ("file", "file.txt", PLAIN, b"1"), ("field1", "value1")),
    ),
    case(
        part(NAMED.format("文書.txt"), fields=TXT) + END,
        ("file", "文書.txt", PLAIN, b"1"),
        kind="multipart/form-data; charset=utf-8; boundary=b",
    ),
    case(part(NAMED.format("画像.jpg")) + END, ("file", "画像.jpg", None, b"1")),
    case(
        part('name="value"', "Transférer") + END,
        ("value", "Transférer"),
        kind="multipart/form-data; charset=utf-8; boundary=b",
    ),
    url("some=data", ("some", "data")),
    case("", kind=""),
    url("some=da+ta", ("some", "da ta")),
    url("so+me=data", ("so me", "data")),
    url("some=data&second=key+pair", ("some", "data"), ("second", "key pair")),
    case(
        part('name="some"', "data") + part('name="second"', "key pair") + END,
        *(("some", "data"), ("second", "key pair")),
    ),
    case(
        part(NAMED.format("文書.txt")).removeprefix("--b|"),
        error=400,
        kind="multipart/form-data; charset=utf-8",
    ),
    case('--b|Content-Disposition: form-data; ="field0"||value0|', error=400),
    *(
        differs(LIMIT, each, error=413)
        for each in [
            case("".join(part(f'name="N{i}";', "") for i in range(1001)), error=400),
            case(
                "".join(part(f'name="N{i}"; filename="F{i}";', "") for i in range(1001)), error=400
            ),
            case("".join(part(f'name="N"; filename="F{i}";', "") for i in range(1001)), error=400),
            case(
                "".join(
                    part(f'name="F{i}"; filename="F{i}";', "") + part(f'name="N{i}";', "")
                    for i in range(1001)
                ),
                error=400,
            ),
            case(part('name="N0";', "") + part('name="N1";', ""), error=400, max_fields=1),
            case(
                part('name="F0"; filename="F0";', "") + part('name="F1"; filename="F1";', ""),
                error=400,
                max_files=1,
            ),
        ]
    ),
    case(
        "".join(
            part(f'name="N{i}";', "") + part(f'name="F{i}"; filename="F{i}";', "x")
            for i in range(2000)
        )
        + END,
        *((f"N{i}", "") for i in range(2000)),
        *((f"F{i}", f"F{i}", None, b"x") for i in range(2000)),
        max_fields=2000,
        max_files=2000,
    ),
    *(
        differs(LIMIT, each, error=413)
        for each in [
            case(
                part('name="small"') + part('name="large"', "x" * (1 << 20) + "x") + END, error=400
            ),
            case(
                part('name="small"') + part('name="large"', "x" * 10 * 1024 + "x") + END,
                error=400,
                max_text_bytes=10 * 1024,
            ),
        ]
    ),
]

CASES = {"multipart": MULTIPART, "starlette": STARLETTE, "werkzeug": WERKZEUG}
