from __future__ import annotations
from tests.unit.applications import application, opened, service_account
def show(r):
    print(r["ok"])
    for c in r["checks"]: print(f'{c["result"]:5}{c["check"]:22}{c["message"]} | {c["fix"]}')
    for i in r["instructions"]:
        print("##", i["title"], "@", i["where"])
        for l in i["lines"]: print("   ", l)
def test_dbg(mailing, mail):
    ours = application(mailing, "certificate")
    found = opened(mailing, mail, ours)
    mailing.direct.connect(found.id, "client_credentials")
    show(mailing.functions.connect("doctor_account", {"account_id": found.id}))
    show(mailing.functions.connect("doctor_connector", {"connector_id": ours.id}))
    acc = mailing.connected("google")
    show(mailing.functions.connect("doctor_account", {"account_id": acc.id}))
