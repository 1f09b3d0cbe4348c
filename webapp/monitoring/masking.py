"""Remove secrets from log lines, in the spellings in which libraries repeat them.

The secrets are the values of secret settings, the credentials that are decrypted at the moment, and
the secrets in the current request. A spelling is the secret itself or a part of it, as JSON, in a
URL, in XML, as Python writes it, in base64 or as hexadecimal digits. Base64 and hexadecimal digits
may contain the secret in UTF-8 or UTF-16LE, and base64 may contain base64. Accents may be separate
characters. Any other spelling, such as compressed text, is not masked.

A hostile cloud chooses the text of its errors, and anybody can send a password or a token of any
length. Python runs no other thread while it searches a text for a pattern. So the time of a search
must grow only in proportion to the length of the text, and the time to prepare the search must be
short for every secret.
"""

from __future__ import annotations

import binascii
import json
import re
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

from schema.text import normalize

MASK = "…"
SHORTEST = 5
"""A secret with fewer characters than this is masked only where it is a separate word."""
SHORTEST_LINE = 16
"""If a secret has several lines, a line of at least this length is masked even on its own."""
PIECE = 24
"""A long secret is divided into pieces of this many bytes.

`mask` looks for each piece in text that was decoded from base64 or hexadecimal digits.
"""
HEAD = 64
"""`mask` recognizes a long secret by this many characters at its beginning.

If `mask` finds these characters, it also masks the text after them, even if that text differs from
the secret. See `_rest_pattern`. In text that was decoded from base64 or hexadecimal digits, `mask`
instead looks for each piece of the secret. See PIECE.
"""
LONGEST_SECRET = 20_000
"""If a secret in use has more characters than this, `mask` ignores the rest of the secret.

The key file of a service account can have this many characters.
"""
MAX_COST = 1_000
"""The maximum cost to prepare the search for one secret. See `_cost`.

If the cost would be higher, `pattern_of` leaves out some spellings of the secret. The file with a
private key of 4,096 bits costs about 600.
"""
MAX_REQUEST_COST = 2_000
"""The maximum cost to prepare the search for all secrets of a request.

If a further secret would exceed this cost, its escaped spellings are not found.
"""
BASE64_LEVELS = 3
"""The maximum number of layers of base64 around a text."""
LONGEST_TEXT = 40_000
"""If a text has more characters than this, `mask` drops the rest of the text."""

_BACKSLASH = r"(?:\\|%(?:25)*5[cC])"
"""A backslash, which may be encoded as in a URL."""
_BACKSLASHES = rf"{_BACKSLASH}{{1,32}}"
"""The backslashes before an escaped character. Several libraries may each have added some."""
_ESCAPED_BASE64 = r"%(?:25)*+2[bBfF]|(?<!\\)\\++(?:u002[bBfF]|/)"
_LINE_BREAK = r"(?:\\++(?:[rn]|u000[adAD])|[\r\n]|%0[adAD]|&#(?:1[03]|[xX][adAD]);)"
_WRAP = rf"[ \t]*+(?:{_LINE_BREAK}[ \t]*+)++"
_RUN = rf"(?:[A-Za-z0-9+/_-]|{_ESCAPED_BASE64})"
_BASE64 = re.compile(rf"{_RUN}{{6,}}(?:{_WRAP}{_RUN}+)*")
"""Text that may be base64. It can have several lines. The first has at least six characters."""
_INNER_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{6,}(?:[\r\n]+[A-Za-z0-9+/_-]+)*")
"""Decoded base64 that may be base64 again."""
_HEX = re.compile(rf"[0-9a-fA-F]{{{2 * SHORTEST},}}")
"""Hexadecimal digits that may contain a secret."""
_BASE64_ESCAPES_AND_BREAKS = re.compile(rf"{_ESCAPED_BASE64}|{_WRAP}")
_URL_SAFE = str.maketrans("-_", "+/")
_URL_SAFE_BYTES = bytes.maketrans(b"-_", b"+/")
_ESCAPED_ASCII = re.compile(
    rf"(?:(?<!\\){_BACKSLASHES}(?:u00|x|U000000)|%(?:25)*)([3-7][0-9a-fA-F])"
    r"|&(?:amp;)*#(?:0*([0-9]{2,3})|[xX]0*([3-7][0-9a-fA-F]));"
)
"""A character that may be an ASCII letter or digit, escaped as in JSON, Python, a URL or XML."""
_KNOWN_FORMS = re.compile(
    # A signed token (JWT) of Azure or Google. If a token begins in the middle of a word, the length
    # of its first part is limited. Otherwise, many beginnings in one word would make the search
    # slow.
    r"(?:(?<![\w-])eyJ[\w-]{8,}+|eyJ[\w-]{8,1024}+)\.[\w-]{8,}+\.[\w-]*+"
    # An API token of this application. The underscores may be escaped as in a URL.
    r"|imr(?:_|%(?:25)*5f)[0-9a-z]{12}(?:_|%(?:25)*5f)[0-9a-z]{6,}+"
    r"|(?<=bearer )[\w.~+/=-]{6,}|(?<=basic )[\w.~+/=-]{6,}"
    r"|(?<=x-amz-signature=)\w+|(?<=x-amz-security-token=)[\w%.~+/=-]+"
    r"|(?<=-----begin private key-----)[^-]+|(?<=-----begin rsa private key-----)[^-]+",
    re.IGNORECASE,
)
"""Secrets that are recognized by their form."""
_SECRET_NAME = re.compile(r"password|secret|token|private|passphrase", re.IGNORECASE)
_XML_NAMES = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos"}
_ESCAPES = {"\n": "n", "\r": "r", "\t": "t", "\f": "f", "\b": "b"}


class _Owner:
    """An object that lives as long as a set of secrets is in use."""


_in_use: dict[int, tuple[str, ...]] = {}
_permanent: tuple[str, ...] = ()
_read_request_secrets: Callable[[], Iterable[str]] = tuple


def configure(permanent: Iterable[str], read_request_secrets: Callable[[], Iterable[str]]) -> None:
    """Set the secrets of the settings, and the function that returns the secrets of the request."""
    global _permanent, _read_request_secrets
    _permanent, _read_request_secrets = tuple(filter(None, permanent)), read_request_secrets


def mask_while_alive(owner: object, values: Iterable[str]) -> None:
    """Mask `values` as long as the object `owner` exists."""
    secrets = tuple(filter(None, values))
    if secrets:
        _in_use[id(owner)] = secrets
        weakref.finalize(owner, _in_use.pop, id(owner), None).atexit = False


@contextmanager
def masked(values: Iterable[str]) -> Iterator[None]:
    """Mask `values` while the context is active."""
    owner = _Owner()
    mask_while_alive(owner, values)
    try:
        yield
    finally:
        _in_use.pop(id(owner), None)


def mask(text: str) -> str:
    """Return the first LONGEST_TEXT characters of `text` without the secrets in use."""
    text = text[:LONGEST_TEXT]
    secrets = {secret[:LONGEST_SECRET] for values in _values_in_use() for secret in values}
    secrets.update(_permanent)
    unescaped_only: set[str] = set()
    cost = 0
    for secret in filter(None, _read_request_secrets()):
        start = secret[:LONGEST_SECRET]
        new_cost = cost + min(MAX_COST, sum(map(_cost, _parts(start))))
        if new_cost <= MAX_REQUEST_COST:
            secrets.add(start)
            cost = new_cost
        else:
            unescaped_only.add(start)
    text = _mask_each(text, secrets, unescaped_only)
    plain = _ESCAPED_ASCII.sub(_unescape_ascii, text)
    masked_plain = text if plain == text else _mask_each(plain, secrets, unescaped_only)
    # If the text contains no escaped secret, keep its escapes.
    return text if masked_plain == plain else masked_plain


def _mask_each(text: str, secrets: set[str], unescaped_only: set[str]) -> str:
    """Mask `secrets` and `unescaped_only` in `text`.

    This function does not find a secret in `secrets` if `text` escapes ASCII letters or digits of
    the secret. It does not find a secret in `unescaped_only` if `text` escapes any character of it.
    """
    needles = {part for secret in secrets | unescaped_only for part in needles_of(secret)}
    text = _mask_encoded(text, needles)
    for secret in sorted(secrets | unescaped_only, key=len, reverse=True):
        pattern = pattern_of(secret, 0 if secret in unescaped_only else MAX_COST)
        text = pattern.sub(MASK, text)
    return _KNOWN_FORMS.sub(MASK, text)


def _cost(text: str) -> int:
    """Return the cost to find a text in all spellings.

    The cost is roughly the number of characters that may be escaped. Each of these characters takes
    up to 0.2 ms to compile, or 0.8 ms if it is not ASCII. The spellings of a text with several
    backslashes take about 13 ms.
    """
    if _has_several_backslashes(text):
        return HEAD
    return sum(0 if _is_ascii_alnum(each) else 1 if each.isascii() else 4 for each in text)


def _has_several_backslashes(text: str) -> bool:
    return len(re.findall(_BACKSLASH, text)) > 1


def _unescape_ascii(match: re.Match[str]) -> str:
    """Return the ASCII letter or digit that is escaped, or else the escape itself."""
    digits, decimal, hexadecimal = match.groups()
    character = chr(int(decimal) if decimal else int(digits or hexadecimal, 16))
    return character if _is_ascii_alnum(character) else match[0]


def _values_in_use() -> list[tuple[str, ...]]:
    while True:
        try:
            return list(_in_use.values())
        except RuntimeError:  # An owner ended meanwhile.
            continue


def _mask_encoded(text: str, needles: set[bytes]) -> str:
    """Mask each text in base64 or hexadecimal digits that contains one of `needles`.

    Hexadecimal digits look like base64, so `_BASE64` finds both. Base64 encodes three bytes as four
    characters. The position at which the encoded text begins is unknown, so each text is decoded
    four times, from each of its first four characters on.
    """
    runs = list(_BASE64.finditer(text))
    decoded = [_decode_each_way(run[0]) for run in runs]
    everything = b"\n".join(decoded)
    hits = [needle for needle in needles if needle in everything]
    if not hits:
        return text
    for run, raw in reversed(list(zip(runs, decoded, strict=True))):
        if any(needle in raw for needle in hits):
            text = text[: run.start()] + MASK + text[run.end() :]
    return text


def _decode_each_way(run: str) -> bytes:
    """Return the bytes that a text may encode in base64, base64 in base64, or hexadecimal digits.

    UTF-16 of ASCII characters contains zero bytes, so the result is repeated without zero bytes.
    """
    characters = _BASE64_ESCAPES_AND_BREAKS.sub(_unescape_base64, run).translate(_URL_SAFE)
    level = b"\n".join(_decode(characters[start:]) for start in range(4))
    decoded_texts = [level]
    for _ in range(BASE64_LEVELS - 1):
        level = b"\n".join(
            _decode(inner[start:])
            for match in _INNER_BASE64.finditer(level)
            for inner in [match[0].translate(_URL_SAFE_BYTES, b"\r\n")]
            for start in range(4)
        )
        if not level:
            break
        decoded_texts.append(level)
    for match in _HEX.finditer(characters):
        digits = match[0]
        pairs = (each[: len(each) // 2 * 2] for each in (digits, digits[1:]))
        decoded_texts.extend(map(bytes.fromhex, pairs))
    decoded = b"\n".join(decoded_texts)
    return decoded + b"\n" + decoded.replace(b"\0", b"") if b"\0" in decoded else decoded


def _decode(characters: str | bytes) -> bytes:
    # The decoder needs a multiple of four characters, so add "A", which means the value 0.
    text = characters.decode() if isinstance(characters, bytes) else characters
    return binascii.a2b_base64(text + "A" * (-len(text) % 4))


def _unescape_base64(match: re.Match[str]) -> str:
    """Return the character that is escaped, such as `+` for `%2B`, or '' for a line break."""
    return {"b": "+", "f": "/", "/": "/"}.get(match[0][-1].lower(), "")


@lru_cache(maxsize=256)
def needles_of(secret: str) -> tuple[bytes, ...]:
    """Return byte strings that reveal a secret: the secret as text, as JSON and in a URL.

    Each long byte string is also divided into pieces.
    """
    needles = set()
    documents = (secret, secret.strip(), *_secrets_in_document(secret))
    for part in {form for document in documents for form in _unicode_forms(document)}:
        spellings = (part, json.dumps(part)[1:-1], quote(part, safe="", errors="surrogatepass"))
        encoded = [each.encode("utf-8", "surrogatepass") for each in spellings]
        if not part.isascii():
            encoded.append(part.encode("utf-16-le", "surrogatepass").replace(b"\0", b""))
        for raw in encoded:
            if len(raw) >= SHORTEST:
                needles.add(raw)
            if len(raw) >= 2 * PIECE:
                needles.update(raw[at : at + PIECE] for at in range(0, len(raw) - PIECE + 1, PIECE))
    return tuple(needles)


def _unicode_forms(text: str) -> set[str]:
    """Return a text as it is, with composed characters, and with each accent separate."""
    if text.isascii():
        return {text}
    return {text, normalize("NFC", text), normalize("NFD", text)}


@lru_cache(maxsize=256)
def pattern_of(secret: str, max_cost: int = MAX_COST) -> re.Pattern[str]:
    """Return a pattern that finds a secret and the parts that reveal it, except in encoded text.

    `_mask_encoded` finds them in base64 and hexadecimal digits. If the spellings of a part would
    exceed `max_cost`, the pattern contains only the spellings of its beginning. If these would also
    exceed `max_cost`, the pattern contains only the beginning itself, without escapes.
    """
    patterns: dict[str, str] = {}
    cost = 0
    for part in _parts(secret):
        for text, rest in ((part, ""), (part[:HEAD], part[HEAD:])):
            if cost + _cost(text) <= max_cost:
                patterns[part] = _spelling_pattern(text, rest)
                cost += _cost(text)
                break
        else:
            patterns[part] = _whole_word(re.escape(part[:HEAD]) + _rest_pattern(part[HEAD:]), part)
    return re.compile("|".join(patterns[part] for part in sorted(patterns, key=len, reverse=True)))


def _parts(secret: str) -> list[str]:
    """Return the texts that reveal a secret.

    These are the secret itself, the secrets in it if it is a JSON document, and the lines of all
    these texts. The secrets in a document and their lines come first, then the other texts. Both
    groups are sorted by length, the longest text first.
    """
    inner = _with_lines(_secrets_in_document(secret))
    outer = _with_lines((secret, secret.strip())) - inner
    return [part for parts in (inner, outer) for part in sorted(parts, key=len, reverse=True)]


def _with_lines(documents: Iterable[str]) -> set[str]:
    """Return the documents in each Unicode form, and their lines."""
    parts = {form for document in documents for form in _unicode_forms(document)}
    lines = [line.strip() for part in parts for line in part.splitlines()]
    if len(lines) > len(parts):
        parts.update(line for line in lines if len(line) >= SHORTEST_LINE and line[:5] != "-----")
    return parts - {""}


def _secrets_in_document(text: str) -> tuple[str, ...]:
    """Return the secrets in a JSON document, such as the key file of a service account."""
    if not text.lstrip().startswith(("{", "[")):
        return ()
    try:
        return tuple(_secrets_in(json.loads(text)))
    except (ValueError, RecursionError):
        return ()


def _secrets_in(value: object, name: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _secrets_in(each, str(key))
    elif isinstance(value, list):
        for each in value:
            yield from _secrets_in(each, name)
    elif isinstance(value, str) and len(value) >= SHORTEST and _SECRET_NAME.search(name):
        yield value


def _spelling_pattern(text: str, rest: str) -> str:
    """Return a pattern for `text` followed by `rest`.

    Each character of `text` may be escaped in any way, except ASCII letters and digits (see
    `_character_pattern`). See `_rest_pattern` for `rest`. If `text` has several backslashes, the
    pattern contains only the common spellings of its beginning. With all spellings, a search would
    try all ways to distribute the backslashes of a message among the backslashes of the pattern.
    """
    if _has_several_backslashes(text):
        longest_first = sorted(_common_spellings(text[:HEAD]), key=len, reverse=True)
        pattern = f"(?i:{'|'.join(map(re.escape, longest_first))})"
        return _whole_word(pattern + _rest_pattern(text[HEAD:] + rest), text)
    characters = [
        _character_pattern(character, after_backslash=before == "\\")
        for before, character in zip(f" {text}", text, strict=False)
    ]
    pattern = "".join(characters[:HEAD])
    if tail := "".join(characters[HEAD:]):
        pattern += rf"(?:{tail}|\S*+)"
    return _whole_word(pattern + _rest_pattern(rest), text)


def _rest_pattern(rest: str) -> str:
    """Return a pattern for the text after the beginning of a secret. `rest` is not compared.

    The pattern matches the rest of the word or, if `rest` contains spaces, the rest of the message.
    """
    if not rest:
        return ""
    return r"[\s\S]*+" if re.search(r"\s", rest) else r"\S*+"


def _whole_word(pattern: str, text: str) -> str:
    """Return the pattern for `text`. A short text must be a word, see SHORTEST."""
    return pattern if len(text) >= SHORTEST else rf"(?<![^\W_]){pattern}(?![^\W_])"


def _common_spellings(text: str) -> set[str]:
    """Return the spellings that a text can have after one or two libraries have escaped it."""
    spellings = {text}
    for _ in range(2):
        spellings |= {spell(each) for each in spellings for spell in _SPELLING_FUNCTIONS}
    for number in ("&#{};", "&#x{:x};", "&#x{:04x};"):
        for is_plain in (str.isalnum, _is_ascii_alnum):
            characters = (each if is_plain(each) else number.format(ord(each)) for each in text)
            spellings.add("".join(characters))
    for escape_all in (_json_escape, _percent_escape):
        spellings.add("".join(each if _is_ascii_alnum(each) else escape_all(each) for each in text))
    return spellings


_SPELLING_FUNCTIONS: tuple[Callable[[str], str], ...] = (
    lambda text: json.dumps(text)[1:-1],
    lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    lambda text: repr(text)[1:-1],
    lambda text: repr(text + "'\"")[1:-4],  # The quotes make Python escape the quotes in the text.
    lambda text: repr(text.encode("utf-8", "surrogatepass"))[2:-1],
    lambda text: text.replace("/", "\\/"),
    lambda text: quote(text, errors="surrogatepass"),
    lambda text: quote(text, safe="", errors="surrogatepass"),
    lambda text: quote_plus(text, errors="surrogatepass"),
    escape,
    lambda text: escape(text, {'"': "&quot;", "\n": "&#10;"}),
    lambda text: escape(text, {'"': "&quot;", "'": "&#x27;", "\n": "&#10;"}),
    lambda text: escape(text, {'"': "&#34;", "'": "&#39;"}),
)


@lru_cache(maxsize=1024)
def _character_pattern(character: str, *, after_backslash: bool) -> str:
    """Return a pattern for all spellings of a character.

    The pattern for a backslash matches up to 32 backslashes in a row, including those that escape
    the next character of the secret. So the pattern for the next character does not require its
    backslashes again. Only the first of many backslashes can begin a match. Otherwise, the search
    would begin again at each of the other backslashes.
    """
    if _is_ascii_alnum(character):
        return character  # `mask` also searches the text in which these characters are not escaped.
    code = ord(character)
    quoted, encoded = re.escape(character), character.encode("utf-8", "surrogatepass")
    units = _utf16(character)
    # Spellings that begin in the same way are in one list, so that the final pattern contains their
    # common beginning only once.
    plain = [quoted, "".join(rf"%(?:25)*{_hex(f'{byte:02x}')}" for byte in encoded)]
    escaped = [
        _BACKSLASHES.join(f"x{_hex(f'{byte:02x}')}" for byte in encoded),
        _BACKSLASHES.join(f"u{_hex(unit)}" for unit in units),
        f"U{_hex(f'{code:08x}')}",
    ]
    names = [f"#(?:0*{code}|[xX]0*{_hex(f'{code:x}')})"]
    if len(encoded) > 1 and code < 256:
        byte = _hex(f"{code:02x}")
        escaped.append(f"x{byte}")
        plain.append(rf"%(?:25)*{byte}")
    if character in _XML_NAMES:
        names.append(_XML_NAMES[character])
    if character in _ESCAPES:
        escaped.append(_ESCAPES[character])
    if character == " ":
        plain.append(r"\+")
    if character == "\n":
        plain += [r"\r\n", "%(?:25)*0[dD]%(?:25)*0[aA]"]
        escaped.append(f"r{_BACKSLASHES}n")
    ways = [
        rf"&(?:amp;)*(?:{'|'.join(names)});",
        rf"{f'(?:{_BACKSLASHES})?' if after_backslash else _BACKSLASHES}(?:{'|'.join(escaped)})",
        rf"(?:{_BACKSLASHES})?(?:{'|'.join(plain)})",
    ]
    if character == "\\":
        start = r"(?<!\\)(?<!%5[cC])(?<!%255[cC])"
        return rf"(?>{start}(?:{ways[1]}|{_BACKSLASHES}+)|{ways[0]})"
    return f"(?:{'|'.join(ways)})"


def _is_ascii_alnum(character: str) -> bool:
    return character.isascii() and character.isalnum()


def _json_escape(character: str) -> str:
    return "".join(f"\\u{unit}" for unit in _utf16(character))


def _percent_escape(character: str) -> str:
    return "".join(f"%{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))


def _utf16(character: str) -> list[str]:
    """Return the units of a character in UTF-16, as hexadecimal digits."""
    digits = character.encode("utf-16-be", "surrogatepass").hex()
    return [digits[at : at + 4] for at in range(0, len(digits), 4)]


def _hex(digits: str) -> str:
    """Return a pattern for hexadecimal digits in upper or lower case."""
    return "".join(f"[{each}{each.upper()}]" if each.isalpha() else each for each in digits)
