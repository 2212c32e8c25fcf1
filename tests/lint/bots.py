"""The words that tell programs from people: the list in the code, its index of first and second letters, and README's list."""
import re

from tree import line_of

CODE = "shared/wire/mkto_page.c"
README = "README.md"
_ROW = re.compile(r"\['(.)' & 31\] = \{(words_\w), ([^}]*)\}")


def _words(code):
    return {match.group(1): match.start() for match in re.finditer(r'WORD\("([^"]+)"\)', code)}


def words_are_found(tree):
    """each word that makes a user agent a program's can be found by its first two letters"""
    code = tree.code(CODE, strings=True)
    rows = {first: re.findall(r"BIT\('(.)'\)", seconds) for first, _, seconds in _ROW.findall(code)}
    for word, at in _words(code).items():
        if word[1] not in rows.get(word[0], ()):
            yield CODE, line_of(code, at), "no bit leads to \"%s\"" % word
        if word != word.lower():
            yield CODE, line_of(code, at), "\"%s\" should be lower case, as README prints it" % word


def readme_list(tree):
    """README, "Page views without JavaScript", names every word, and no other"""
    code = tree.code(CODE, strings=True)
    words = _words(code)
    section = list(tree.section(README, "## Page views without JavaScript"))
    listed = re.search(r"one of these words in it:((?: `[^`]+`,?)+)\.", " ".join(line for _, line in section))
    if listed is None:
        yield README, section[0][0] if section else 1, "the list of words is missing"
        return
    shown, number = set(re.findall(r"`([^`]+)`", listed.group(1))), section[0][0]
    for word in sorted(shown - set(words)):
        yield README, number, "\"%s\" is no word of %s" % (word, CODE)
    for word in sorted(set(words) - shown):
        yield CODE, line_of(code, words[word]), "\"%s\" is not in README" % word


RULES = [words_are_found, readme_list]
