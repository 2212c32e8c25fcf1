"""Writes marketo.conf for a test: a subscription that speaks to the sandbox, in a directory of the test's own."""
import os

SECTIONS = ("marketo", "spool", "courier", "fields", "sources")


class MarketoConf:
    """conf["marketo"]["api"] = "soap"; conf.section("marketo brand-b", munchkin_id="…"); conf.write()"""

    def __init__(self, directory, sandbox=None):
        self.directory = str(directory)
        self.path = os.path.join(self.directory, "marketo.conf")
        self.spool = os.path.join(self.directory, "spool")
        self.socket = os.path.join(self.spool, "courier.sock")
        self.sections = {
            "marketo": {"munchkin_id": "561-HYG-937", "api": "rest", "host": "www.example.com", "batch_wait": "50ms",
                        "lead_interval": "0s"},
            "spool": {"path": self.spool, "keep_free": "0%"},
            "courier": {"linger": "0s"},
        }
        if sandbox is not None:
            self.use(sandbox)

    def __getitem__(self, section):
        return self.sections.setdefault(section, {})

    def section(self, name, **keys):
        self.sections[name] = dict(keys)
        return self.sections[name]

    def use(self, sandbox, section="marketo"):
        """Points a subscription to the sandbox, with the secrets that it knows."""
        settings = sandbox.store.settings
        self[section].update(
            munchkin_id=settings["munchkin_id"], rest_endpoint=sandbox.url, munchkin_endpoint=sandbox.url,
            soap_endpoint=sandbox.url + "/soap/mktows/3_1", rest_client_id=settings["client_id"],
            rest_client_secret_file=self.secret("rest.secret", settings["client_secret"]),
            soap_user_id=settings["soap_user_id"], soap_encryption_key_file=self.secret("soap.key", settings["soap_key"]))

    def secret(self, name, text):
        return self._file(name, text + "\n", 0o600)

    def _file(self, name, text, mode):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
        return path

    def write(self):
        lines = []
        for name, keys in self.sections.items():
            lines.append("[%s]" % name)
            lines += ["%s = %s" % item for item in keys.items()]
            lines.append("")
        return self._file("marketo.conf", "\n".join(lines), 0o644)
