"""
A SOAP toolkit that knows nothing of ours, fed with Marketo's own WSDL: it reads our requests, its requests pass the sandbox,
and our reader takes the answers that it writes. The WSDL is no part of the project; without it, or without python3-zeep, this
is skipped.
"""
import hashlib
import hmac
import json
import os
import subprocess
import sys
from datetime import datetime, timezone

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OUT = os.path.abspath(os.environ.get("MKTO_OUT", os.path.join(ROOT, "out")))
WSDL = os.path.join(os.environ.get("MKTO_SHARED", os.path.join(os.path.dirname(ROOT), "shared")), "data", "mktows_2_2.wsdl")
NS = "{http://www.marketo.com/mktows/}"
ENV = "{http://schemas.xmlsoap.org/soap/envelope/}"
USER, KEY = "zeep_user_1", "0123456789abcdef"
COOKIE = "id:561-HYG-937&token:_mch-marketo.com-1374552656411-90718"

zeep = pytest.importorskip("zeep", reason="python3-zeep is not installed")
etree = pytest.importorskip("lxml.etree", reason="python3-lxml is not installed")
if not os.path.exists(WSDL):
    pytest.skip("no WSDL at %s" % WSDL, allow_module_level=True)
sys.path.insert(0, os.path.join(ROOT, "tests", "sandbox"))
from marketo_sandbox import Sandbox  # noqa: E402


@pytest.fixture(scope="module")
def client():
    return zeep.Client(WSDL)


@pytest.fixture
def sandbox():
    box = Sandbox(lead_lock_s=0, soap_user_id=USER, soap_key=KEY).start()
    yield box
    box.stop()


@pytest.fixture
def config(tmp_path):
    key = tmp_path / "soap.key"
    key.write_text(KEY)
    key.chmod(0o600)
    path = tmp_path / "marketo.conf"
    path.write_text("[marketo]\nmunchkin_id = 561-HYG-937\napi = soap\nsoap_endpoint = https://localhost/soap/mktows/3_1\n"
                    "soap_user_id = %s\nsoap_encryption_key_file = %s\nsoap_workspace = Default\n"
                    "[spool]\npath = %s\n" % (USER, key, tmp_path))
    path.chmod(0o644)
    return str(path)


def our_requests(config, event, *options):
    """The SOAP envelopes that the event becomes."""
    command = os.path.join(OUT, "marketo")
    if not os.access(command, os.X_OK):
        pytest.skip("no %s" % command)
    done = subprocess.run([command, "map", "--config", config, "--api", "soap", "--wire", "--json", *options],
                          input=json.dumps(event), capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    bodies = [json.loads(line)["body"] for line in done.stdout.splitlines() if '"kind":"request"' in line]
    assert bodies, done.stdout
    return [etree.fromstring(body.encode()) for body in bodies]


def read_block(client, element):
    return client.get_element(element.tag).parse(element, client.wsdl.types)


def identify(**traits):
    return {"type": "identify", "userId": "019mr8mf4r", "messageId": "m1", "traits": traits}


def test_reads_sync_lead(client, config):
    (envelope,) = our_requests(config, identify(email="Jake@segment.com", firstName="Jake", company="A <B> & Söhne"),
                               "--cookie", COOKIE)
    head = {block.tag: read_block(client, block) for block in envelope.find(ENV + "Header")}
    auth = head[NS + "AuthenticationHeader"]
    expected = hmac.new(KEY.encode(), (auth.requestTimestamp + USER).encode(), hashlib.sha1).hexdigest()
    assert (auth.mktowsUserId, auth.requestSignature) == (USER, expected)
    assert head[NS + "MktowsContextHeader"].targetWorkspace == "Default"
    (params,) = envelope.find(ENV + "Body")
    assert params.tag == NS + "paramsSyncLead"
    params = read_block(client, params)
    fields = {a.attrName: a.attrValue for a in params.leadRecord.leadAttributeList.attribute}
    assert params.leadRecord.Email == "Jake@segment.com"
    assert fields["FirstName"] == "Jake" and fields["Company"] == "A <B> & Söhne" and fields["UserId"] == "019mr8mf4r"
    assert (params.returnLead, params.marketoCookie) == (False, COOKIE)


def test_reads_sync_multiple_leads(client, config):
    """Without a cookie an identify may go in a batch; with a made one it is a syncLead. Either must parse."""
    for envelope in our_requests(config, identify(email="tom@example.com", name="Tom Smykowski")):
        (params,) = envelope.find(ENV + "Body")
        value = read_block(client, params)
        if params.tag == NS + "paramsSyncMultipleLeads":
            assert value.dedupEnabled is True
            (record,) = value.leadRecordList.leadRecord
        else:
            record = value.leadRecord
        fields = {a.attrName: a.attrValue for a in record.leadAttributeList.attribute}
        assert (record.Email, fields["FirstName"], fields["LastName"]) == ("tom@example.com", "Tom", "Smykowski")


def header(client):
    stamp = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S+00:00")
    signature = hmac.new(KEY.encode(), (stamp + USER).encode(), hashlib.sha1).hexdigest()
    element = client.get_element(NS + "AuthenticationHeader")
    return [element(mktowsUserId=USER, requestSignature=signature, requestTimestamp=stamp)]


def test_sandbox_takes_its_requests(client, sandbox):
    (binding,) = client.wsdl.bindings
    service = client.create_service(str(binding), sandbox.url + "/soap/mktows/3_1")
    record = {"Email": "ada@example.com", "leadAttributeList": {"attribute": [{"attrName": "FirstName", "attrValue": "Ada"}]}}
    answer = service.syncLead(leadRecord=record, returnLead=False, marketoCookie=COOKIE, _soapheaders=header(client))
    assert answer.syncStatus.status == "CREATED"
    answer = service.syncMultipleLeads(leadRecordList={"leadRecord": [record]}, dedupEnabled=True, _soapheaders=header(client))
    assert [s.status for s in answer.syncStatus] == ["UPDATED"]
    assert not sandbox.store.violations


def answer_file(client, path, name, value):
    """An answer as the toolkit writes it, in an envelope of its own prefixes."""
    envelope = etree.Element(ENV + "Envelope", nsmap={"soap-env": ENV[1:-1]})
    body = etree.SubElement(envelope, ENV + "Body")
    element = client.get_element(NS + name)
    element.render(body, element(result=value))
    path.write_bytes(etree.tostring(envelope, xml_declaration=True, encoding="UTF-8"))
    return str(path)


def test_our_reader_takes_its_answers(client, tmp_path):
    program = os.path.join(OUT, "build", "tests", "unit", "test_soap_read")
    if not os.access(program, os.X_OK):
        pytest.skip("no %s" % program)
    ok = {"leadId": 12, "status": "UPDATED", "error": None}
    failed = {"leadId": 0, "status": "FAILED", "error": "20106 - Lead sync failed"}
    files = [
        answer_file(client, tmp_path / "1", "successSyncLead", {"leadId": 12, "syncStatus": ok, "leadRecord": None}),
        answer_file(client, tmp_path / "2", "successSyncMultipleLeads", {"syncStatusList": {"syncStatus": [ok, failed]}}),
        answer_file(client, tmp_path / "3", "successListMObjects", {"objects": ["Opportunity", "OpportunityPersonRole"]}),
    ]
    done = subprocess.run([program, *files], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.splitlines() == [
        "understood ok 0 12:UPDATED:ok:0",
        "understood ok 0 12:UPDATED:ok:0 0:FAILED:failed:20106",
        "understood ok 0",
    ]
