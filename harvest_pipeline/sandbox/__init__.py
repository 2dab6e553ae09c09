"""A Harvest account that this machine serves itself over real HTTP, for trials and tests.

It is written from Harvest's documentation and does not use the catalogue: an emulator that shared
the client's idea of Harvest would confirm the client's mistakes.
"""

#: The port of `harvest-pipeline sandbox`.
DEFAULT_PORT = 7357
