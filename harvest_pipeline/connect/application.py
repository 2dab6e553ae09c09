"""The OAuth 2 application in whose name the person is asked (REFERENCE 2.2).

Belongs here: where its id and secret come from. Never the command line: others can read that.
Does not belong here: using them (harvest/oauth.py).
"""

from collections.abc import Mapping

from harvest_pipeline.connect.terminal import Terminal
from harvest_pipeline.harvest.oauth import Application

_MISSING = (
    "HARVEST_CLIENT_ID and HARVEST_CLIENT_SECRET are not both set, and nobody is at a terminal to "
    "be asked: set them in the environment or in .env, or give a personal access token with "
    "--token -."
)


def application_of(
    environment: Mapping[str, str], redirect: str, terminal: Terminal
) -> Application:
    """The application of the environment; what is missing of it is asked for.

    `redirect` is the redirect URL with which it has to be registered. Raises SettingsError and
    CredentialsMalformed.
    """
    client_id = environment.get("HARVEST_CLIENT_ID", "").strip()
    secret = environment.get("HARVEST_CLIENT_SECRET", "").strip()
    if not (client_id and secret) and terminal.has_person:
        terminal.tell(
            "Harvest knows this program as an OAuth 2 application of yours: make one at "
            "https://id.getharvest.com/developers\n"
            f"(product: Harvest, redirect URL: {redirect}), and copy its client id and secret "
            "here, or into .env.\n"
        )
    return Application(
        client_id or terminal.answer("Client id: ", _MISSING),
        secret or terminal.secret("Client secret (does not show): ", _MISSING),
    )
