"""What a bench promises, beside what it found.

    aims = Aims()
    aims.under("idle_mb", found, 64)
    aims.end(options.check)  # exit 1 if one was missed
"""

import json
import sys


class Aims:
    def __init__(self):
        self.missed = 0

    def under(self, name, found, limit):
        self._note(name, found, "under", limit, found < limit)

    def at_least(self, name, found, limit):
        self._note(name, found, "at_least", limit, found >= limit)

    def _note(self, name, found, relation, limit, met):
        self.missed += not met
        print(json.dumps({"aim": name, "found": round(found, 3), relation: limit, "met": met}),
              flush=True)

    def end(self, check):
        sys.exit(1 if check and self.missed else 0)
