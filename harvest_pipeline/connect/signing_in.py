"""From a person to credentials: a token that is pasted, or consent in the browser.

Belongs here: which of the ways is taken, and what the credentials are made of.
Does not belong here: which account they are for (choice.py).
"""

import argparse
from collections.abc import Generator, Mapping
from contextlib import contextmanager

from harvest_pipeline.accounts.stored import Secrets
from harvest_pipeline.connect.application import application_of
from harvest_pipeline.connect.callback import address_of
from harvest_pipeline.connect.consent import code_by_browser, pasted_code
from harvest_pipeline.connect.terminal import Terminal
from harvest_pipeline.harvest.errors import AnswerInvalid
from harvest_pipeline.harvest.http import Transport
from harvest_pipeline.harvest.oauth import Application, Authorization, exchange_code
from harvest_pipeline.sandbox.oauth import CLIENT_ID, CLIENT_SECRET
from harvest_pipeline.settings import Account

_NO_TOKEN = "No token came from standard input, so nothing is connected."  # noqa: S105


@contextmanager
def signed_in(
    arguments: argparse.Namespace,
    environment: Mapping[str, str],
    settings: Account,
    transport: Transport,
    terminal: Terminal,
) -> Generator[Secrets]:
    """The credentials that the person gives; the browser tells what becomes of them in the block.

    Raises SettingsError, AuthorizationRefused, AuthorizationInvalid, and what `exchange_code`
    raises.
    """
    if arguments.token:
        asked = "Personal access token (does not show): "
        token = terminal.secret(asked, _NO_TOKEN) if terminal.has_person else None
        yield Secrets(access_token=token or terminal.piped(_NO_TOKEN))
        return
    redirect = address_of(arguments.port)
    if arguments.sandbox:
        application = Application(CLIENT_ID, CLIENT_SECRET)
    else:
        application = application_of(environment, redirect, terminal)
    authorization = Authorization(application, settings.project.id_url, redirect)
    if arguments.no_browser:
        code = pasted_code(authorization, terminal)
        yield _exchanged(code, application, authorization, settings, transport)
        return
    with code_by_browser(authorization, arguments.port, terminal) as code:
        yield _exchanged(code, application, authorization, settings, transport)


def _exchanged(
    code: str,
    application: Application,
    authorization: Authorization,
    settings: Account,
    transport: Transport,
) -> Secrets:
    tokens = exchange_code(transport, settings.project.id_url, application, code, authorization)
    if tokens.refresh_token is None:
        raise AnswerInvalid(
            "Harvest gave a token that ends and nothing to renew it with, so nothing was stored; "
            "use a personal access token instead (--token -)."
        )
    return Secrets(
        access_token=tokens.access_token,
        expires_at=tokens.expires_at,
        renew_at=tokens.renew_at,
        client_id=application.client_id,
        client_secret=application.client_secret,
        refresh_token=tokens.refresh_token,
    )
