"""What all tests of the lab share."""

from __future__ import annotations

import hypothesis

# Machines are shared, and then an example takes as long as it takes.
hypothesis.settings.register_profile("kubelab", deadline=None)
hypothesis.settings.load_profile("kubelab")
