"""The secrets that are planted, one for each purpose.

Belongs here: what they look like, and answers that repeat them. Does not belong here: the failures
in which they are used.
"""

import json

from harvest_pipeline_tests.sandbox.faults import AnswerWith
from harvest_pipeline_tests.security.canaries import Canaries, run_of

#: Letters that every escaping changes stand between two runs that none does.
CHANGED = '+/=&%"<\\'


def _secret(name: str) -> str:
    return f"{run_of(name)}{CHANGED}{run_of(name + ' again')}"


TOKEN = f"1044711.pt.{_secret('personal access token')}"
CLIENT_ID = run_of("client id")
CLIENT_SECRET = _secret("client secret")
REFRESH_TOKEN = _secret("refresh token")
TOKEN_OF_ACME = _secret("token of an account of harvest.yaml")
DOTENV_TOKEN = _secret("token in .env")
DOTENV = f"HARVEST_ACCESS_TOKEN='{DOTENV_TOKEN}'\n"
#: Whoever puts it into the wrong place would otherwise find it on a page of Dagster.
MISPLACED = f"1044711.pt.{run_of('token in the wrong place')}-{run_of('and its other half')}"
PASSWORD = run_of("password of an address")
OF_ANSWER = _secret("token that an answer tells us")
OF_HOLDER = run_of("secret among the arguments of another program")
STORED_TOKEN = f"1044711.pt.{_secret('token of a stored account')}"
MALFORMED = {
    "a line break at its end": f"{_secret('token with a line break')}\n",
    "a blank inside": f"{run_of('token with a blank')} {run_of('its other half')}",
    "a letter that no token has": f"{run_of('token of words')}é{run_of('its other half too')}",
}
#: What a launch puts into its run config is stored and shown by Dagster, whatever we do.
LAUNCHED = run_of("token in the config of a launch")

#: All of them, by name.
SECRETS = {
    "TOKEN": TOKEN,
    "CLIENT_ID": CLIENT_ID,
    "CLIENT_SECRET": CLIENT_SECRET,
    "REFRESH_TOKEN": REFRESH_TOKEN,
    "TOKEN_OF_ACME": TOKEN_OF_ACME,
    "DOTENV_TOKEN": DOTENV_TOKEN,
    "MISPLACED": MISPLACED,
    "PASSWORD": PASSWORD,
    "OF_ANSWER": OF_ANSWER,
    "OF_HOLDER": OF_HOLDER,
    "STORED_TOKEN": STORED_TOKEN,
    "LAUNCHED": LAUNCHED,
    **{f"a token with {why}": token for why, token in MALFORMED.items()},
}

OAUTH = {
    "HARVEST_ACCESS_TOKEN": "",
    "HARVEST_CLIENT_ID": CLIENT_ID,
    "HARVEST_CLIENT_SECRET": CLIENT_SECRET,
    "HARVEST_REFRESH_TOKEN": REFRESH_TOKEN,
}
NOTHING = {"HARVEST_ACCESS_TOKEN": "", "HARVEST_ACCOUNT_ID": ""}
#: Whoever is asked who they are, says this.
ME = AnswerWith(
    path="/users/me",
    times=None,
    status=200,
    body='{"id": 1, "access_roles": ["administrator"]}',
)


def echo(secret: str) -> str:
    """The body of an error that repeats a secret in every place that is looked at."""
    said = f"Bearer {secret} is not valid"
    return json.dumps({"message": said, "error": secret, "error_description": said})


def canaries() -> Canaries:
    """All secrets of this module."""
    return Canaries(SECRETS)
