"""The project's files as the rules see them: tracked and new ones, without what is ignored."""
import os
import re
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
_BINARY = (".so", ".o", ".a", ".gz", ".png", ".ico", ".pyc")


def _blank(text):
    return re.sub(r"[^\n]", " ", text)


class Tree:
    def __init__(self, out):
        self.out = out
        self._texts = {}
        self.files = [f for f in self._list() if not f.endswith(_BINARY) and os.path.isfile(os.path.join(ROOT, f))]

    @staticmethod
    def _list():
        command = ["git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard"]
        try:
            listed = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            listed = None
        if listed is not None and listed.returncode == 0:
            return sorted(set(listed.stdout.splitlines()))
        found = []
        for directory, names, files in os.walk(ROOT):
            names[:] = [n for n in names if n not in ("out", ".git", "__pycache__")]
            found += [os.path.relpath(os.path.join(directory, f), ROOT) for f in files]
        return sorted(found)

    def some(self, *endings, under=""):
        return [f for f in self.files if f.endswith(endings) and f.startswith(under)]

    def text(self, name):
        if name not in self._texts:
            with open(os.path.join(ROOT, name), encoding="utf-8", errors="replace") as file:
                self._texts[name] = file.read()
        return self._texts[name]

    def lines(self, name):
        return list(enumerate(self.text(name).splitlines(), 1))

    def code(self, name, strings=False):
        """C text whose comments (and strings, unless asked for) are blanks; every line keeps its number."""
        def replace(match):
            token = match.group()
            if token.startswith("/"):
                return _blank(token)
            return token if strings else token[0] + _blank(token[1:-1]) + token[-1]
        return _TOKEN.sub(replace, self.text(name))

    def section(self, name, heading):
        """(number, line) of a Markdown section, up to the next heading of its level or above."""
        level, inside, fenced = len(heading.split(" ")[0]), False, False
        for number, line in self.lines(name):
            fenced ^= line.startswith("```")
            head = None if fenced else re.match(r"(#+) ", line)
            if inside and head and len(head.group(1)) <= level:
                return
            if inside:
                yield number, line
            inside = inside or line.strip() == heading


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def call_at(text, opening):
    """The text from an opening parenthesis to the one that closes it. `text` has no comments."""
    depth, quoted, position = 0, "", opening
    while position < len(text):
        char = text[position]
        if quoted:
            position += char == "\\"
            quoted = "" if char == quoted else quoted
        elif char in "\"'":
            quoted = char
        else:
            depth += (char == "(") - (char == ")")
            if depth == 0:
                return text[opening:position + 1]
        position += 1
    return text[opening:]
