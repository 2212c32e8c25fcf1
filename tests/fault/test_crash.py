"""
kill -9 at random, of everything, and then the audit (crash.py). `make test` runs the short form; `make crash` as many as it says.

MKTO_KILLS   how many, over each server (default 25)
MKTO_SEED    repeats a run's choices (default: drawn anew)
"""
import os
import random

import pytest
from crash import Campaign

KILLS = int(os.environ.get("MKTO_KILLS", "25"))
SEED = int(os.environ.get("MKTO_SEED", random.randrange(1 << 32)))


@pytest.mark.servers("nginx", "httpd-event")
def test_what_was_acknowledged_survives_every_kill(server, sandbox, say):
    campaign = Campaign(server, sandbox, SEED)
    try:
        campaign.run(KILLS)
        campaign.audit()
    finally:
        campaign.traffic.stop()
        say(str(campaign))
