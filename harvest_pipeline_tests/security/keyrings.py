"""A keyring whose errors repeat what it was given, as those that call a program do.

Belongs here: that backend of the library `keyring`. Does not belong here: those that keep or
forget (accounts/keyrings.py).
"""

import os

from harvest_pipeline_tests.accounts.keyrings import Good


class Telling(Good):
    """Works, unless TEST_KEYRING_FAILS is set."""

    def set_password(self, service: str, username: str, password: str) -> None:
        if "TEST_KEYRING_FAILS" in os.environ:
            raise RuntimeError(f"Command '['pass', 'insert', '{password}']' failed")
        super().set_password(service, username, password)
