"""Starts the controllers process."""

import sys

from kubelab.controllers.main import main

sys.exit(main())
