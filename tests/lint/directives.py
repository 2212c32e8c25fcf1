"""Directives: both command tables, their merge code, README, and what the documentation shows agree."""
import re

from tree import line_of

README = "README.md"
# One nginx directive that httpd has as two: whether a location collects, and for which subscription.
PAIRS = {"marketo": {"MarketoCollect", "MarketoSubscription"}}
# Words that look like directives and are none.
OTHERS = {"marketo_module", "marketo_opt_out"}


def _camel(name):
    return "".join(part.capitalize() for part in name.split("_"))


def nginx_directives(tree):
    """name -> (file, line)"""
    found = {}
    for name in tree.some(".c", under="ngx_marketo/"):
        code = tree.code(name, strings=True)
        for table in re.finditer(r"ngx_command_t\s+\w+\[\]\s*=\s*\{(.*?)ngx_null_command", code, re.S):
            for row in re.finditer(r'ngx_string\("(\w+)"\)', table.group(1)):
                found[row.group(1)] = (name, line_of(code, table.start(1) + row.start()))
    return found


def httpd_directives(tree):
    found = {}
    for name in tree.some(".c", under="mod_marketo/"):
        code = tree.code(name, strings=True)
        for row in re.finditer(r'AP_INIT_\w+\(\s*"(\w+)"', code):
            found[row.group(1)] = (name, line_of(code, row.start()))
    return found


def both_servers(tree):
    """each directive of nginx has its counterpart in httpd, and the other way round"""
    nginx, httpd = nginx_directives(tree), httpd_directives(tree)
    if not nginx or not httpd:
        yield "ngx_marketo" if not nginx else "mod_marketo", 1, "no directive table found"
        return
    wanted = set()
    for name, (file, line) in nginx.items():
        others = PAIRS.get(name, {_camel(name)})
        wanted |= others
        for other in sorted(others - set(httpd)):
            yield file, line, "%s has no %s in mod_marketo" % (name, other)
    for name, (file, line) in httpd.items():
        if name not in wanted:
            yield file, line, "%s has no counterpart in ngx_marketo" % name


def readme_table(tree):
    """README's directive table has a row for every directive, and for no other"""
    known = {**nginx_directives(tree), **httpd_directives(tree)}
    shown = set()
    for number, line in tree.section(README, "## Directives"):
        if not line.startswith("|"):
            continue
        names = set(re.findall(r"`((?:marketo|Marketo)\w*)", line))
        shown |= names
        for name in sorted(names - set(known) - variables(tree)):
            yield README, number, "%s is no directive" % name
    for name, (file, line) in sorted(known.items()):
        if name not in shown:
            yield file, line, "%s is not in the table of README, \"Directives\"" % name


def variables(tree):
    """The names of nginx's variables, which are httpd's notes, too."""
    code = "".join(tree.code(f, strings=True) for f in tree.some(".c") if f.startswith("ngx_marketo/"))
    table = re.search(r"names\[\] = \{(.*?)\};", code, re.S)
    return set(re.findall(r'ngx_string\("(\w+)"\)', table.group(1))) if table else set()


def shown_names(tree):
    """what README and the example configurations show are directives that exist"""
    known = set(nginx_directives(tree)) | set(httpd_directives(tree)) | OTHERS | variables(tree)
    shown = [README] + [f for f in tree.some(".conf", ".conf.example", ".conf.in", ".load") if not f.endswith("marketo.conf.example")]
    for name in shown:
        if name not in tree.files:
            continue
        for number, line in tree.lines(name):
            for word in re.findall(r"(?<![\w$/.-])(marketo_\w+|Marketo[A-Z]\w+)", line):
                if word not in known:
                    yield name, number, "%s is no directive" % word


def _members(code, name):
    body = re.search(r"typedef struct \{([^}]*)\} %s;|struct %s \{([^}]*)\};" % (name, name), code)
    if body is None:
        return None
    text = body.group(1) or body.group(2)
    return re.findall(r"(\w+)\s*(?:\[[^\]]*\])?;", text)


def _function(code, pattern):
    body = re.search(pattern + r"[^;{]*\n\{\n(.*?)\n\}\n", code, re.S)
    return None if body is None else body.group(1)


def merged(tree):
    """every member of a configuration that is merged occurs in its merge function"""
    faces = (("ngx_marketo/", r"ngx_http_marketo_(\w+)_conf_t", "ngx_http_marketo_merge_%s_conf", ("loc", "srv")),
             ("mod_marketo/", r"marketo_(\w+)", "merge_%s", ("dir", "server")))
    for under, pattern, function, kinds in faces:
        headers = {f: tree.code(f) for f in tree.some(".h", ".c", under=under)}
        for kind in kinds:
            struct = pattern.replace(r"(\w+)", kind)
            for file, code in headers.items():
                members = _members(code, struct)
                if not members:
                    continue
                bodies = [b for b in (_function(c, r"\b" + function % kind) for c in headers.values()) if b]
                if not bodies:
                    yield file, 1, "%s has no %s" % (struct, function % kind)
                    continue
                for member in members:
                    if not re.search(r"(->|\.)%s\b" % member, bodies[0]):
                        yield file, line_of(code, code.index(struct)), "%s.%s is not merged" % (struct, member)


RULES = [both_servers, readme_table, shown_names, merged]
