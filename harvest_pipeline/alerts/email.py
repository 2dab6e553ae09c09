"""Alerts by e-mail, over SMTP.

Belongs here: the letter, the connection to the mail server, a sentence for each refusal.
Does not belong here: what the letter says (messages.py).
"""

import smtplib
import ssl
from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from harvest_pipeline.alerts.errors import AlertNotSent
from harvest_pipeline.alerts.messages import Alert
from harvest_pipeline.harvest.secrecy import Secretive
from harvest_pipeline.settings.alerts import EmailEntry, Security

PASSWORD_VARIABLE = "HARVEST_SMTP_PASSWORD"  # noqa: S105 - the name of it

#: For connecting and for each answer, in seconds: the daemon gives a whole tick 60.
_TIMEOUT = 10.0


class Email(Secretive):
    """Sends alerts to the addresses of `entry`; `environment` holds the password."""

    name = "email"

    def __init__(self, entry: EmailEntry, environment: Mapping[str, str]) -> None:
        self._entry = entry
        self._environment = environment

    @property
    def target(self) -> str:
        """Where alerts go, for a person to read."""
        host, port = self._entry.server
        return f"{', '.join(self._entry.to)} by {host}:{port}"

    def send(self, alert: Alert) -> str | None:
        """Send it; the sentence about addresses that were refused while others got it, if any.

        Raises AlertNotSent if nobody got it.
        """
        password = self._password()
        host, port = self._entry.server
        try:
            refused = self._sent(alert, password)
        except (smtplib.SMTPException, OSError) as error:
            reason = _reason(error)
        else:
            return f"{host}:{port} sent the e-mail, but {_refused(refused)}." if refused else None
        raise AlertNotSent(f"The e-mail could not be sent by {host}:{port}: {reason}.")

    def _sent(self, alert: Alert, password: str | None) -> Mapping[str, object]:
        """Send it; the addresses that were refused."""
        with self._connected() as smtp:
            if self._entry.user and password:
                smtp.login(self._entry.user, password)
            return smtp.send_message(self._letter(alert))

    def _connected(self) -> smtplib.SMTP:
        host, port = self._entry.server
        # Certificates are always verified, against the system's authorities or SSL_CERT_FILE.
        context = ssl.create_default_context()
        if self._entry.security is Security.SSL:
            return smtplib.SMTP_SSL(host, port, timeout=_TIMEOUT, context=context)
        smtp = smtplib.SMTP(host, port, timeout=_TIMEOUT)
        if self._entry.security is Security.STARTTLS:
            try:
                # Refuses to go on unencrypted where the server does not offer it.
                smtp.starttls(context=context)
            except BaseException:
                smtp.close()
                raise
        return smtp

    def _letter(self, alert: Alert) -> EmailMessage:
        letter = EmailMessage()
        letter["Subject"] = f"[Harvest] {alert.title}"
        letter["From"] = self._entry.sender
        letter["To"] = ", ".join(self._entry.to)
        letter["Date"] = formatdate()
        letter["Message-ID"] = make_msgid(domain=self._entry.sender.rpartition("@")[2])
        letter["Auto-Submitted"] = "auto-generated"  # nobody's holiday note answers it
        letter.set_content(f"{alert.title}\n\n{alert.text}\n")
        return letter

    def _password(self) -> str | None:
        password = self._environment.get(PASSWORD_VARIABLE, "")
        if not self._entry.user:
            return None
        if not password:
            raise AlertNotSent(
                f"The e-mail could not be sent: harvest.yaml names a user, and {PASSWORD_VARIABLE} "
                "is not set; set it in the environment or in .env."
            )
        if not (password.isascii() and self._entry.user.isascii()):
            raise AlertNotSent(
                f"The e-mail could not be sent: SMTP takes plain letters only, and the user or "
                f"{PASSWORD_VARIABLE} has others; choose another one."
            )
        return password


def _reason(error: Exception) -> str:
    """Why nothing was sent. What the server said is left out: it may repeat what it was told."""
    match error:
        case smtplib.SMTPAuthenticationError():
            return (
                f"it does not accept the user of harvest.yaml with {PASSWORD_VARIABLE} "
                f"({error.smtp_code}); correct them"
            )
        case smtplib.SMTPNotSupportedError():
            return (
                "it does not offer what is asked for (STARTTLS, or signing in); correct security, "
                "port or user in harvest.yaml"
            )
        case smtplib.SMTPRecipientsRefused():
            return _refused(error.recipients)
        case smtplib.SMTPResponseException():
            return f"it does not accept the sender or the message ({error.smtp_code})"
        case smtplib.SMTPException():
            return (
                "it broke off, did not answer in time, or speaks another language on this port; "
                "correct security or port"
            )
        case ssl.SSLCertVerificationError():
            return "its certificate does not verify, so nothing was sent to it"
        case ssl.SSLError():
            return "no encrypted connection could be made; correct security or port"
        case TimeoutError():
            return f"nothing came for {_TIMEOUT:g} seconds"
        case _:
            return "there is no connection to it"


def _refused(recipients: Mapping[str, object]) -> str:
    return f"it does not accept {', '.join(sorted(recipients))}; correct `to` in harvest.yaml"
