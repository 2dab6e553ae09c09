"""`make soak N=1000 SEED=1`: a line every 50 nights, and a summary; 1 if a night went wrong."""

import argparse
import sys
from pathlib import Path
from tempfile import gettempdir

from harvest_pipeline_tests.soak.nights import Night, spend
from harvest_pipeline_tests.soak.weather import Climate

_SHOWN = 50


def main() -> int:
    """Spend the nights that are asked for."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("nights", type=int)
    parser.add_argument("seed", type=int)
    given = parser.parse_args()
    folder = Path(gettempdir()) / f"harvest-soak-{given.seed}"
    line = "no nights"
    for night, tally, weather in spend(folder, given.seed, given.nights, Climate()):
        line = tally.line(weather)
        if night.outcome == "red":
            print(f"night {night.number} is red: {_reason(night)}", flush=True)
        if night.wrong:
            print(_described(night, given.seed))
            return 1
        if night.number % _SHOWN == 0:
            print(line, flush=True)
    faults = ", ".join(f"{count} {name}" for name, count in weather.faults.most_common())
    print(f"seed {given.seed}: {line}\nfaults: {faults}")
    return 0


def _reason(night: Night) -> str:
    return next(line for line in reversed(night.log) if line.startswith("run "))


def _described(night: Night, seed: int) -> str:
    return "\n".join(
        [
            f"Night {night.number} of seed {seed} is {night.outcome} and wrong; again: make soak "
            f"N={night.number} SEED={seed}",
            *(f"  edit: {each}" for each in night.edits),
            *(f"  log: {each}" for each in night.log),
            *night.wrong[:_SHOWN],
            f"{len(night.wrong)} differences",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
