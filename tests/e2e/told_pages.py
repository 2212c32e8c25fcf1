"""Page views as a courier is told of them: a server that tracks all its pages, and a stand-in for the courier."""
import contextlib
import os
import time

from fake_courier import FakeCourier
from site_of_pages import PAGE, PERSON
from waiting import wait_until

TYPES = "AddType text/html .html\n"
TRACK = {"nginx": "marketo_track_pages on;\n", "httpd": TYPES + '<Location "/">\nMarketoTrackPages On\n</Location>\n'}


def write_page(server, name, text=PAGE.decode()):
    path = os.path.join(server.directory, "www", name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


@contextlib.contextmanager
def listening(server):
    server.courier, server.workers = "external", 1
    server.text[server.family] = TRACK[server.family]
    write_page(server, "page.html")
    it = FakeCourier(server.conf.socket)
    it.start()
    yield it
    server.stop()  # with nobody to tell, it would log what it loses
    it.stop()
    assert not it.errors, it.errors


def paths(fake):
    return [event.path for event in fake.events if event.call == "view"]


def settle(server, fake, *wanted):
    """One more page view: the process that has sent it has sent what it had before, nginx' one worker in order."""
    server.get("/page.html?last", PERSON)
    wait_until(lambda: "/page.html?last" in paths(fake), what="the last page view")
    if server.family == "nginx":
        assert paths(fake) == [*wanted, "/page.html?last"]
    else:
        time.sleep(0.3)  # other children
        assert sorted(paths(fake)) == sorted([*wanted, "/page.html?last"])
