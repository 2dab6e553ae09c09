"""A keyring whose errors repeat what it was given, as those that call a program do."""

import os

from harvest_pipeline_tests.harvest.keyrings import Good


class Telling(Good):
    """Works, unless TEST_KEYRING_FAILS is set."""

    def set_password(self, service: str, username: str, password: str) -> None:
        if "TEST_KEYRING_FAILS" in os.environ:
            raise RuntimeError(f"Command '['pass', 'insert', '{password}']' failed")
        super().set_password(service, username, password)
