"""
Drives one official Python SDK: drive.py SDK URL KEY CALLS, where CALLS is JSON: [[kind, fields], …].

A program of its own, as a user's would be. Ends when the SDK has sent everything; with code 1 when it gave something up.
"""

import json
import sys
from datetime import datetime
from importlib import import_module

MODULES = {
    "segment-analytics-python": "segment.analytics.client",
    "rudder-sdk-python": "rudderstack.analytics.client",
}


def main(sdk, url, key, text):
    failures = []
    module = import_module(MODULES[sdk])
    client = module.Client(key, host=url, upload_interval=0.1, on_error=lambda error, _batch: failures.append(error))
    for kind, fields in json.loads(text):
        call = dict(fields)
        if "timestamp" in call:
            call["timestamp"] = datetime.fromisoformat(call["timestamp"])
        getattr(client, kind)(**call)
    client.shutdown()
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
