"""What the commands say of the same mistakes.

Belongs here: `connect`, `accounts`, `doctor` and `dev` as a script runs them. Does not belong here:
what needs a browser (test_leaks.py).
"""

from collections.abc import Iterator
from dataclasses import replace

from harvest_pipeline_tests.sandbox.faults import AnswerWith
from harvest_pipeline_tests.security.failure import Failure
from harvest_pipeline_tests.security.mistakes import of_misplaced
from harvest_pipeline_tests.security.planted import (
    MALFORMED,
    MISPLACED,
    NOTHING,
    OAUTH,
    PASSWORD,
    REFRESH_TOKEN,
    TOKEN,
    echo,
)
from harvest_pipeline_tests.security.stage import Stage


def of_commands(stage: Stage) -> Iterator[Failure]:
    """What the commands say of the same mistakes; those that need a browser are in test_leaks."""
    connect = ("connect", "--token", "-")
    repeated = AnswerWith(path="/accounts", times=None, status=422, body=echo(TOKEN))
    yield Failure("connect with a wrong token", "token of standard input", NOTHING,
                  command=connect, typed=TOKEN)  # fmt: skip
    yield Failure("connect with a token that is repeated", "does not accept the request", NOTHING,
                  (repeated,), command=connect, typed=TOKEN)  # fmt: skip
    for why in ("a blank inside", "a letter that no token has"):
        yield Failure(f"connect with {why}", "standard input is empty or holds", NOTHING,
                      command=connect, typed=MALFORMED[why])  # fmt: skip
    yield Failure("connect with a token as argument", "Others can read the arguments", NOTHING,
                  command=("connect", "--token", TOKEN))  # fmt: skip
    yield Failure("connect to a misplaced token", "is not known to reach",
                  {"HARVEST_ACCOUNT_ID": MISPLACED}, command=connect,
                  typed=stage.sandbox.tokens["administrator"])  # fmt: skip
    for options in ((), ("--json",)):
        doctor = ("doctor", *options)
        yield Failure(f"{doctor}, wrong token", "does not accept the token",
                      {"HARVEST_ACCESS_TOKEN": TOKEN}, command=doctor)  # fmt: skip
    yield Failure("sync with a wrong token", "does not accept the token",
                  {"HARVEST_ACCESS_TOKEN": TOKEN}, command=("sync", "clients"))  # fmt: skip
    misused = (("--project-ids", TOKEN), ("--from", TOKEN), ("--updated-since", TOKEN),
               ("--invoice-status", TOKEN), ("--account", TOKEN), (TOKEN,))  # fmt: skip
    for options in misused:
        yield Failure(f"sync with a token as {options[0][:16]}", "not shown|choose one", NOTHING,
                      command=("sync", *options))  # fmt: skip
    yield Failure("reports of a token", "There is no account", NOTHING,
                  command=("reports", "--account", TOKEN))  # fmt: skip
    # The doctor tells of all that is wrong at once; an instance is only looked at without an id.
    misplaced = list(of_misplaced(stage))
    at_once = {
        name: value
        for each in misplaced
        if not each.files
        for name, value in each.environment.items()
    }
    offline = ("doctor", "--offline")
    for environment in (at_once, {**at_once, "HARVEST_ACCOUNT_ID": MISPLACED}):
        for command in (offline, (*offline, "--json"), ("accounts",)):
            yield Failure(f"{command}, all in the wrong place", "HARVEST_[A-Z_]+", environment,
                          command=command)  # fmt: skip
    ids = {"HARVEST_ACCESS_TOKEN": TOKEN, "HARVEST_ACCOUNT_ID": MISPLACED}
    yield Failure("accounts with a token as account id", "", ids, command=("accounts", "--json"))
    instances = {**ids, "HARVEST_ACCOUNT_ID": "", "HARVEST_INSTANCE": MISPLACED}
    yield Failure("accounts with a token as instance", "", instances, command=("accounts",))
    for each in misplaced:
        if each.files:
            yield replace(each, name=f"doctor, {each.name}", command=offline)
    malformed = {**OAUTH, "HARVEST_CLIENT_SECRET": MALFORMED["a line break at its end"]}
    yield Failure("doctor, malformed secret", "HARVEST_CLIENT_SECRET is empty or holds", malformed,
                  command=("doctor",))  # fmt: skip
    yield Failure("doctor, refused grant", "does not accept the refresh token", OAUTH,
                  (AnswerWith(path="/oauth2/token", status=400, body=echo(REFRESH_TOKEN)),),
                  command=("doctor",))  # fmt: skip
    yield Failure("accounts of the environment", "", OAUTH, command=("accounts",))
    address = {"HARVEST_API_URL": f"https://user:{PASSWORD}@api.harvestapp.com/v2"}
    yield Failure("dev with a password", "user name or password", address, command=("dev",))
