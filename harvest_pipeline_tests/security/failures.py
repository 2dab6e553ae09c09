"""Every way to fail that this project knows, in one list.

Belongs here: the list, and the servers that some of it needs. Does not belong here: the failures
(answers.py, mistakes.py, stored.py, commands.py).
"""

import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import trustme

from harvest_pipeline_tests.harvest import fault_server as fault
from harvest_pipeline_tests.harvest.fault_server import FaultServer, script
from harvest_pipeline_tests.sandbox.server import SandboxServer
from harvest_pipeline_tests.security.answers import (
    of_answers,
    of_links,
    of_networks,
    of_sandbox_tokens,
    of_tokens,
)
from harvest_pipeline_tests.security.commands import of_commands
from harvest_pipeline_tests.security.failure import Failure
from harvest_pipeline_tests.security.mistakes import (
    of_credentials,
    of_launches,
    of_misplaced,
    of_named_account,
    of_warehouse,
)
from harvest_pipeline_tests.security.planted import PASSWORD, echo
from harvest_pipeline_tests.security.stage import Stage
from harvest_pipeline_tests.security.stored import of_stores


@contextmanager
def failures(stage: Stage) -> Iterator[list[Failure]]:
    """All that need no other hand than the worker's, with the servers that some of them need."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    denied = script(fault.raw(echo(PASSWORD).encode(), 407))
    with ExitStack() as stack:
        unknown = stack.enter_context(FaultServer(script(fault.answer({})), tls=tls))
        proxy = stack.enter_context(FaultServer(denied))
        small = {"years": 0.1, "scale": 0.2, "rate_limit": None}
        rotating = stack.enter_context(SandboxServer(rotate_refresh_tokens=True, **small))
        other = stack.enter_context(SandboxServer(accounts=2, **small))
        yield [
            Failure("success"),
            *of_answers(),
            *of_links(stage),
            *of_tokens(),
            *of_sandbox_tokens(stage, rotating),
            *of_networks(unknown, proxy),
            *of_credentials(stage, other),
            *of_misplaced(stage),
            *of_named_account(stage),
            *of_launches(stage),
            *of_warehouse(stage),
            *of_stores(stage),
            *of_commands(stage),
        ]
