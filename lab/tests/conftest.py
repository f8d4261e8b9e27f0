"""What all tests of the lab share."""

from __future__ import annotations

import os

import hypothesis

# Machines are shared, and then an example takes as long as it takes.
# A pipeline judges a change, not chance: it draws what it drew before. Everybody else draws anew.
hypothesis.settings.register_profile("kubelab", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("kubelab")
