"""Questions to the person at the terminal.

Belongs here: asking, with a sentence where nobody is there to be asked, and how long it is waited
while somebody looks on.
Does not belong here: what the answers mean.
"""

import sys
from collections.abc import Callable, Sequence
from getpass import getpass

from harvest_pipeline.harvest.http import Patience
from harvest_pipeline.settings import SettingsError

#: A person waits: so fewer attempts and shorter pauses than in a run.
PATIENCE = Patience(attempts=3, first_pause=0.5, throttle_cap=60.0)


class Terminal:
    """Tells and asks. A question that gets no answer raises SettingsError with `missing`.

    `before_asking` is done ahead of every question.
    """

    def __init__(self) -> None:
        self.before_asking: Callable[[], None] = lambda: None

    @property
    def has_person(self) -> bool:
        """Whether somebody can answer: standard input is a terminal."""
        return sys.stdin.isatty()

    def tell(self, text: str = "") -> None:
        """Print at once, for the next step may take minutes."""
        print(text, flush=True)

    def answer(self, prompt: str, missing: str) -> str:
        """What the person types; never empty."""
        while not (line := self._line(prompt, missing)):
            pass
        return line

    def secret(self, prompt: str, missing: str) -> str:
        """What the person types without its being shown; never empty."""
        self._prepare(missing)
        try:
            while not (secret := getpass(prompt).strip()):
                pass
        except EOFError:
            raise SettingsError(missing) from None
        return secret

    def choice(self, question: str, options: Sequence[object], missing: str) -> int:
        """The index of the option that the person chooses by its number from 1."""
        self._prepare(missing)
        self.tell(question)
        for number, option in enumerate(options, 1):
            self.tell(f"  {number}  {option}")
        while True:
            line = self._line(f"Number (1-{len(options)}): ", missing)
            if line.isdecimal() and 1 <= int(line) <= len(options):
                return int(line) - 1

    def agrees(self, question: str, missing: str) -> bool:
        """Whether the person types yes; anything else is no."""
        return self._line(f"{question} [y/N] ", missing).lower() in ("y", "yes")

    def piped(self, missing: str) -> str:
        """The next line of standard input, whoever writes it."""
        try:
            line = sys.stdin.readline().strip()
        except UnicodeDecodeError:
            line = ""
        if not line:
            raise SettingsError(missing)
        return line

    def _prepare(self, missing: str) -> None:
        if not self.has_person:
            raise SettingsError(missing)
        self.before_asking()

    def _line(self, prompt: str, missing: str) -> str:
        self._prepare(missing)
        print(prompt, end="", flush=True)
        line = sys.stdin.readline()
        if not line:
            raise SettingsError(missing)
        return line.strip()
