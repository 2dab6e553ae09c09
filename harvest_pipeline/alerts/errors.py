"""Why an alert was not sent, as a sentence that holds no secret.

Belongs here: that exception. Does not belong here: the reasons (email.py, webhook.py).
"""


class AlertNotSent(Exception):
    """An alert was not sent; the text is one sentence for a person and holds no secret.

    To be raised `from None`, outside of what is being handled: the errors of the libraries below
    hold addresses and what servers say.
    """
