"""For all tests: Hypothesis without its deadline of 200 ms an example, a timing assertion on a busy machine."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")
