"""Leases a sandbox, and gives it back. broker_types.py is generated from the API document, as docs/api.md says."""

import json
import os
import time
import urllib.error
import urllib.request

from broker_types import Error, Lease, Marked

BROKER_URL = os.environ["BROKER_URL"]
TOKEN = os.environ["BROKER_API_TOKEN"]
HOLDER = os.environ["BROKER_HOLDER"]
DEADLINE_SECONDS = 60


class Refused(Exception):
    """The broker's answer, for a program by its code: NO_SANDBOXES_AVAILABLE, LEASE_OVER and so on."""

    def __init__(self, error):
        super().__init__(f"{error.code.value}: {error.message} (request {error.request_id})")
        self.code = error.code


def call(method, path, key=None):
    """One call, sent again while it makes sense: a holder, or a key, gets the same sandbox however often it asks."""
    headers = {"Authorization": f"Bearer {TOKEN}", "X-Track-ID": HOLDER}
    if key is not None:
        headers["Idempotency-Key"] = key
    request = urllib.request.Request(BROKER_URL + path, method=method, headers=headers)
    give_up_at = time.monotonic() + DEADLINE_SECONDS
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refusal:
            error = Error.from_dict(json.load(refusal)).error
            wait_seconds = error.retry_after or 1
            if refusal.code not in (429, 502, 503, 504) or time.monotonic() + wait_seconds > give_up_at:
                raise Refused(error) from None
        except (urllib.error.URLError, TimeoutError):
            wait_seconds = 1
            if time.monotonic() + wait_seconds > give_up_at:
                raise
        time.sleep(wait_seconds)


lease = Lease.from_dict(call("POST", "/v1/allocate"))
try:
    print(f"{lease.name} until {lease.expires_at}")
finally:
    marked = Marked.from_dict(call("POST", f"/v1/sandboxes/{lease.sandbox_id}/mark-for-deletion"))
    print(f"{marked.sandbox_id} is given back")
