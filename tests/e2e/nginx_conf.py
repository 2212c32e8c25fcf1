"""Lines of nginx.conf that the servers of servers.py do not write on their own."""
import os


def amend(server, before, after):
    """Changes one place of nginx.conf, or httpd.conf, whenever it is written."""
    write, path = server.write_config, os.path.join(server.directory, server.family + ".conf")

    def amended():
        write()
        text = server.read(path)
        assert before in text, before
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace(before, after, 1))
    server.write_config = amended


def line_of(server, words):
    """The line of nginx.conf with these words, counted from 1."""
    lines = server.read(os.path.join(server.directory, "nginx.conf")).splitlines()
    return 1 + next(number for number, line in enumerate(lines) if words in line)
