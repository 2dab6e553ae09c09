"""Runs that fail and checks that fail, on the sandbox: who is told what, and how often."""

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import duckdb
import pytest

from harvest_pipeline.alerts import runs as runs_module
from harvest_pipeline.scope import Window
from harvest_pipeline_tests.alerts.conftest import Alerts, Hook, fail
from harvest_pipeline_tests.conftest import TODAY
from harvest_pipeline_tests.sandbox.faults import Forbid

DAYS = Window(TODAY - timedelta(days=1), TODAY)


@pytest.fixture
def watching(alerts: Alerts, hook: Hook) -> Alerts:
    """Alerts of runs and checks that have had their first look."""
    alerts.say("alerts: {on: [run_failure, check_failure], webhook: {}}\n")
    alerts.tick()
    return alerts


def lines(text: str) -> dict[str, str]:
    """The lines of a message by their label; the title by ""."""
    title, *others = text.splitlines()
    return {"": title, **dict(line.split(": ", 1) for line in others)}


def test_a_run_that_fails_is_one_message_with_account_reports_days_cause_and_run(
    watching: Alerts, hook: Hook
) -> None:
    """A 403 for two reports of one run."""
    project = watching.project
    project.sandbox.account.faults.add(Forbid(path="/invoices", times=None))
    project.sandbox.account.faults.add(Forbid(path="/expenses", times=None))
    result = project.materialize("invoices", "project_expenses", window=DAYS)
    assert not result.success
    watching.tick()
    (text,) = hook.texts
    told = lines(text)
    assert told[""] == "*harvest: a run failed*"
    assert told["Account"] == "harvest"
    assert set(told["Reports"].split(", ")) == {"invoices", "project_expenses"}
    assert told["Days"] == "2026-11-19 to 2026-11-20"
    assert "invoices: " in told["What happened"] and "project_expenses: " in told["What happened"]
    assert "(403)" in told["What happened"]
    assert "re-execute the run" in told["What to do"]
    assert told["Run"] == result.run_id
    watching.tick()
    assert len(hook.texts) == 1


def test_a_wrong_token_is_told_as_its_sentence_and_what_was_before_the_first_look_is_not(
    alerts: Alerts, hook: Hook
) -> None:
    alerts.say("alerts: {on: [run_failure], webhook: {}}\n")
    project = alerts.project
    project.set(HARVEST_ACCESS_TOKEN="wrong-canary-4711")
    project.materialize("clients")
    alerts.tick()
    assert not hook.texts
    project.materialize("tasks")
    alerts.tick()
    (text,) = hook.texts
    assert lines(text)["What happened"].startswith(
        "Harvest does not accept the token of HARVEST_ACCESS_TOKEN (401): it is wrong or has been "
        "revoked"
    )
    assert "Days" not in lines(text) and lines(text)["Reports"] == "tasks"
    assert "canary" not in text


def test_an_error_of_others_is_told_by_its_kind_alone(watching: Alerts, hook: Hook) -> None:
    """What a library says may repeat rows."""
    fail(watching.project.instance)
    watching.tick()
    (text,) = hook.texts
    assert "an unexpected error (ValueError), which the log of the run tells in full" in text
    assert "Ada" not in text


def test_an_outage_is_told_by_our_sentence_when_all_tries_are_used_up(
    watching: Alerts, hook: Hook
) -> None:
    """What may mend itself is no `Failure` but a retry that came to nothing."""
    from harvest_pipeline.failures import Retries, explained
    from harvest_pipeline.harvest.errors import HarvestUnavailable

    @dg.asset(key=["harvest", "mart"])
    def mart() -> None:
        with explained(Retries(0, 0.0)):
            raise HarvestUnavailable("Harvest cannot be reached. Try again later.")

    dg.materialize([mart], instance=watching.project.instance, raise_on_error=False)
    watching.tick()
    assert lines(hook.texts[0])["What happened"] == "Harvest cannot be reached. Try again later."


@pytest.fixture(scope="module")
def retrying(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """A Dagster that tries failed runs again."""
    overrides = {"run_retries": {"enabled": True, "max_retries": 2}}
    with dg.instance_for_test(
        overrides=overrides, temp_dir=str(tmp_path_factory.mktemp("dagster"))
    ) as instance:
        yield instance


def test_a_run_that_is_tried_again_is_told_of_when_its_last_attempt_has_failed(
    alerts: Alerts, hook: Hook, retrying: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    alerts.say("alerts: {on: [run_failure], webhook: {}}\n")
    project = alerts.project
    project.instance.dispose()
    project.instance = retrying
    alerts.tick()
    first = fail(retrying)
    run = retrying.get_run_by_id(first.run_id)
    assert run and run.tags["dagster/will_retry"] == "true"
    alerts.tick()
    assert not hook.texts
    parents = {f"dagster/{name}_run_id": first.run_id for name in ("root", "parent")}
    last = fail(retrying, **parents, **{"dagster/max_retries": "0"})
    # Between its end and the word on whether it is tried again nothing is decided.
    decided = retrying.get_run_by_id(last.run_id)
    assert decided and decided.tags["dagster/will_retry"] == "false"
    with monkeypatch.context() as patch:
        patch.setattr(runs_module, "_WILL_RETRY", "dagster/not_yet")
        alerts.tick()
        assert not hook.texts
    alerts.tick()
    (text,) = hook.texts
    assert lines(text)["Run"] == last.run_id


def test_rows_that_somebody_changed_are_told_as_the_check_that_fails(
    watching: Alerts, hook: Hook
) -> None:
    project = watching.project
    assert project.materialize("daily", window=DAYS).success
    watching.tick()
    assert not hook.texts
    with duckdb.connect(project.database) as connection:
        connection.execute(
            "INSERT INTO harvest.time_entries SELECT * REPLACE (1 AS id, DATE '2026-10-01' AS"
            " spent_date) FROM harvest.time_entries LIMIT 1"
        )
    result = project.materialize("daily", window=DAYS)
    assert result.success
    watching.tick()
    (text,) = hook.texts
    told = lines(text)
    assert told[""] == "*harvest: a check failed*"
    assert told["Reports"] == "daily"
    assert told["Days"] == "2026-11-19 to 2026-11-20"
    assert told["What happened"] == (
        "the check rows_are_inside_their_window failed (Every row lies on a day of the window "
        "whose load brought it.)"
    )
    assert told["Run"] == result.run_id


class Checked:
    """An asset of the account with a check that passes or fails as the test likes."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance

    def run(
        self, passed: bool, severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR
    ) -> None:
        @dg.asset(
            key=["harvest", "mart"],
            check_specs=[dg.AssetCheckSpec("sums", asset=["harvest", "mart"])],
        )  # type: ignore[arg-type]
        def mart() -> dg.MaterializeResult:  # type: ignore[type-arg]
            return dg.MaterializeResult(
                check_results=[
                    dg.AssetCheckResult(
                        passed=passed,
                        check_name="sums",
                        severity=severity,
                        description="September: Harvest 10.5, warehouse 9.5.",
                        metadata={"person": "Ada Okafor"},
                    )
                ]
            )

        dg.materialize([mart], instance=self._instance)


def test_a_check_that_fails_is_told_once_a_day_until_it_passes(
    watching: Alerts, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = Checked(watching.project.instance)
    checked.run(passed=False)
    watching.tick()
    (text,) = hook.texts
    assert "the check sums failed (September: Harvest 10.5, warehouse 9.5.)" in text
    assert "Ada" not in text
    checked.run(passed=False)
    watching.tick()
    assert len(hook.texts) == 1  # it fails on
    with monkeypatch.context() as patch:
        patch.setattr(runs_module, "_AGAIN", 0.0)
        checked.run(passed=False)
        watching.tick()
    assert len(hook.texts) == 2  # a day later
    checked.run(passed=True)
    checked.run(passed=False)
    watching.tick()
    assert len(hook.texts) == 3  # it had passed in between


def test_a_warning_is_told_only_where_that_is_wanted(alerts: Alerts, hook: Hook) -> None:
    checked = Checked(alerts.project.instance)
    for severity, messages in (("error", 0), ("warn", 1)):
        alerts.say(f"alerts: {{on: [check_failure], check_severity: {severity}, webhook: {{}}}}\n")
        alerts.tick()
        checked.run(passed=False, severity=dg.AssetCheckSeverity.WARN)
        alerts.tick()
        assert len(hook.texts) == messages


def test_what_is_not_wanted_is_not_told(alerts: Alerts, hook: Hook) -> None:
    """A run that fails where only checks are told of, and the other way round."""
    alerts.say("alerts: {on: [check_failure], webhook: {}}\n")
    alerts.tick()
    fail(alerts.project.instance)
    alerts.tick()
    alerts.say("alerts: {on: [run_failure], webhook: {}}\n")
    Checked(alerts.project.instance).run(passed=False)
    alerts.tick()
    assert not hook.texts


def test_runs_of_other_programs_of_the_same_dagster_are_not_told(
    watching: Alerts, hook: Hook
) -> None:
    @dg.asset(key=["sales", "orders"])
    def orders() -> None:
        raise ValueError

    dg.materialize([orders], instance=watching.project.instance, raise_on_error=False)
    watching.tick()
    assert not hook.texts


def test_a_run_over_two_accounts_names_both_and_the_reports_of_both(
    alerts: Alerts, hook: Hook
) -> None:
    alerts.project.set(HARVEST_ACCOUNT_ID="")
    alerts.say(
        "accounts: [{name: acme}, {name: blue_sky}, {name: cedar}]\n"
        "alerts: {on: [run_failure], webhook: {}}\n"
    )
    alerts.tick()

    def failing(account: str, report: str) -> dg.AssetsDefinition:
        @dg.asset(key=[account, report])
        def asset() -> None:
            raise dg.Failure(f"The sentence of {report}.", allow_retries=False)

        return asset

    assets = [failing("acme", "invoices"), failing("blue_sky", "daily")]
    dg.materialize(assets, instance=alerts.project.instance, raise_on_error=False)
    alerts.tick()
    (text,) = hook.texts
    told = lines(text)
    assert set(told["Account"].split(", ")) == {"acme", "blue_sky"}
    assert set(told["Reports"].split(", ")) == {"invoices", "daily"}
    assert "invoices: The sentence of invoices." in told["What happened"]
    assert "daily: The sentence of daily." in told["What happened"]
