"""How many cases a property tries, and when one of them counts as hung."""

import os
from datetime import timedelta

from hypothesis import HealthCheck, settings

# No single case may take this long, even on a machine that is busy with other work; on such a
# machine hypothesis' own limits would only say that it is busy.
HANG = timedelta(seconds=10)

CASES = int(os.environ.get("MESHPROOF_PROPERTY_CASES", "300"))

many = settings(
    max_examples=CASES,
    deadline=HANG,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
few = settings(many, max_examples=100)
