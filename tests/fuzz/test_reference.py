"""
Our writers and readers against those of others, over random input: Python's json, node's encodeURIComponent, libxml2's parser
(as lxml). MKTO_TEST_SEED sets the seed, which is printed when a test fails.
"""
import json
import os
import random
import shutil
import subprocess
import time

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.abspath(os.environ.get("MKTO_OUT", os.path.join(HERE, "..", "..", "out")))
ECHO = os.path.join(OUT, "build", "tests", "fuzz", "echo")
ROUNDS = 2000
# What our reader refuses and Python's takes, each on purpose (mkto_json.h).
STRICTER = ("NUL character", "repeated key", "half a surrogate pair", "more than 256 members", "more than 16 levels", "UTF-8")
# Ranges of characters, each as likely as any other.
RANGES = ((0x20, 0x7E), (0x20, 0x2F), (0x09, 0x0D), (0xA0, 0x24F), (0x2000, 0x2FFF), (0x4E00, 0x9FFF), (0xE000, 0xFFFD), (0x1F300, 0x1F6FF),
          (0x10FFF0, 0x10FFFF))


@pytest.fixture(name="dice")
def new_dice():
    seed = int(os.environ.get("MKTO_TEST_SEED", time.time()))
    print("MKTO_TEST_SEED=%d" % seed)
    return random.Random(seed)


def ask(what, texts):
    """What our code makes of each: bytes, or a str that says why it was refused."""
    lines = "".join("%s %s\n" % (what, text.hex()) for text in texts)
    done = subprocess.run([ECHO], input=lines, capture_output=True, text=True, timeout=300, check=True)
    answers = done.stdout.splitlines()
    assert len(answers) == len(texts)
    return [line[6:] if line.startswith("error ") else bytes.fromhex(line) for line in answers]


def text_of(dice, most=30):
    return "".join(chr(dice.randint(*dice.choice(RANGES))) for _ in range(dice.randrange(most)))


def xml_text_of(dice):
    """Characters that XML can hold, those that are easily lost among them."""
    kept = "".join(c for c in text_of(dice) if c >= " " or c in "\t\n\r")
    return kept + dice.choice(["", "]]>", "&amp;", "<a/>", "\r\n", "\r", " \t", "'\""])


# ---- JSON ----

def number_of(dice):
    return dice.choice([str(dice.randint(-99, 99)), str(dice.getrandbits(90)), "0.10", "-0", "1E+400", "5e-7", "%r" % dice.random(), "12.500"])


class Number(float):
    """A number that is written as it was made: 12.500 is not 12.5 here."""

    def __new__(cls, text):
        it = super().__new__(cls, 0)
        it.text = text
        return it

    def __eq__(self, other):
        return isinstance(other, Number) and other.text == self.text

    __hash__ = None


def value_of(dice, depth=0):
    kind = dice.randrange(6 if depth < 14 else 4)
    if kind == 0:
        return dice.choice([None, True, False])
    if kind == 1:
        return Number(number_of(dice))
    if kind < 4:
        return text_of(dice)
    count = dice.randrange(5)
    if kind == 4:
        return [value_of(dice, depth + 1) for _ in range(count)]
    return {text_of(dice, 8): value_of(dice, depth + 1) for _ in range(count)}


def write(dice, value):
    """JSON with blanks and escapes where they are allowed."""
    blank = dice.choice(["", "", " ", "\n\t"])
    if isinstance(value, Number):
        return value.text
    if isinstance(value, (list, dict)):
        inner = ("," + blank).join([write(dice, v) for v in value] if isinstance(value, list) else
                                   [write(dice, k) + blank + ":" + write(dice, v) for k, v in value.items()])
        return ("[%s%s%s]" if isinstance(value, list) else "{%s%s%s}") % (blank, inner, blank)
    return json.dumps(value, ensure_ascii=dice.random() < 0.5).replace("/", dice.choice(["/", "\\/"]))


def no_constant(word):
    raise ValueError(word + " is no JSON")


def read(text):
    return json.loads(text.decode("utf-8"), parse_int=Number, parse_float=Number, parse_constant=no_constant)


def test_json_that_is_right(dice):
    values = [value_of(dice) for _ in range(ROUNDS)]
    texts = [write(dice, value).encode() for value in values]
    for value, text, ours in zip(values, texts, ask("json", texts)):
        assert isinstance(ours, bytes), (text, ours)
        assert read(text) == value
        assert read(ours) == value, (text, ours)


def test_json_that_is_spoiled(dice):
    """What we take Python takes, with the same meaning; what we refuse it refuses, or we are stricter on purpose."""
    texts = []
    for _ in range(ROUNDS):
        text = bytearray(write(dice, value_of(dice)).encode())
        for _ in range(dice.randint(1, 3)):
            at, what = dice.randrange(len(text) + 1), dice.randrange(3)
            piece = dice.choice([b'"', b"{", b"}", b"[", b"]", b",", b":", b"0", b"-", b".", b"e1", b"\\", b"\\ud83d", b"\\u0000", b"nul",
                                 b"true", b"\x00", b"\x80", b"\xed\xa0\x80", b"\n", b"/**/", b"\xef\xbb\xbf", b"'", b"NaN"])
            text[at:at + dice.randrange(3)] = piece if what else b""
        texts.append(bytes(text))
    taken = 0
    for text, ours in zip(texts, ask("json", texts)):
        try:
            theirs, refused = read(text), None
        except (ValueError, RecursionError) as error:
            theirs, refused = None, str(error)
        if isinstance(ours, bytes):
            taken += 1
            assert refused is None, (text, refused)
            assert read(ours) == theirs, (text, ours)
        else:
            assert refused or any(reason in ours for reason in STRICTER), (text, ours)
    assert taken > 20  # both ways were tried


# ---- Munchkin's encoding ----

NODE = """
const recode = text => {
    try { return encodeURIComponent(decodeURIComponent(text)); } catch (e) {}
    const mark = text.indexOf('?');
    if (mark >= 0) {
        try { return encodeURIComponent(decodeURIComponent(text.slice(0, mark)) + text.slice(mark)); } catch (e) {}
    }
    return encodeURIComponent(text);
};
const input = JSON.parse(require('fs').readFileSync(0, 'utf8'));
console.log(JSON.stringify(input.map(text => [encodeURIComponent(text), recode(text)])));
"""


def test_encoding_is_that_of_node(dice):
    node = shutil.which("node") or shutil.which("nodejs")
    if node is None:
        pytest.skip("node is not installed")
    escapes = ["%C3%A4", "%c3%a4", "%E2%82%AC", "%F0%9F%98%80", "%ED%A0%80", "%C0%AF", "%", "%2", "%zz", "%25", "%E2%82", "%80", "%00", "?", "a=1", "&"]
    texts = [text_of(dice).replace("\0", "")
             + "".join(dice.choice(escapes) for _ in range(dice.randrange(5))) + text_of(dice, 5) for _ in range(ROUNDS)]
    done = subprocess.run([node, "-e", NODE], input=json.dumps(texts), capture_output=True, text=True, timeout=300, check=True)
    raw = [text.encode() for text in texts]
    for text, theirs, encoded, recoded in zip(texts, json.loads(done.stdout), ask("encode", raw), ask("recode", raw)):
        assert encoded.decode() == theirs[0], text
        assert recoded.decode() == theirs[1], text


# ---- requests ----

def test_soap_is_read_by_libxml2(dice):
    etree = pytest.importorskip("lxml.etree", reason="lxml is not installed")
    texts = [xml_text_of(dice) for _ in range(ROUNDS)]
    for text, body in zip(texts, ask("soap", [text.encode() for text in texts])):
        record = etree.fromstring(body).find(".//leadRecord")
        assert (record.findtext("Email") or "") == text
        assert (record.findtext(".//attrValue") or "") == text


def test_soap_of_what_xml_cannot_hold(dice):
    etree = pytest.importorskip("lxml.etree", reason="lxml is not installed")
    texts = [text_of(dice) + chr(dice.choice([1, 8, 0x0B, 0x1F, 0x7F, 0xFFFE, 0xFFFF])) + text_of(dice) for _ in range(200)]
    for body in ask("soap", [text.replace("\0", "").encode() for text in texts]):
        assert etree.fromstring(body).find(".//leadRecord") is not None


def test_rest_is_read_by_python(dice):
    texts = [text_of(dice).replace("\0", "") for _ in range(ROUNDS)]
    for text, body in zip(texts, ask("rest", [text.encode() for text in texts])):
        lead = json.loads(body)["input"][0]
        assert lead["email"] == text and lead["Value"] == text
