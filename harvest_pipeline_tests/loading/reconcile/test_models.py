"""What a night says of the models whose rows are differences from Harvest's reports."""

from harvest_pipeline_tests.loading.reconcile.conftest import Loaded, Night


def nothing_differs(night: Night) -> dict[str, bool]:
    """The models of differences, and whether they have no rows."""
    return {
        each.asset_key.path[-1]: each.passed
        for each in night.result.get_asset_check_evaluations()
        if each.check_name == "nothing_differs"
    }


EQUAL = {"budget_differences": True, "unbilled_differences": True}


def test_budgets_and_unbilled_work_equal_harvests_reports_after_a_night(loaded: Loaded) -> None:
    assert nothing_differs(loaded.first_night) == EQUAL
    account, records = loaded.account, loaded.account.records
    budgeted = {each.id for each in records.projects if each.budget_by in ("project", "person")}
    first, second, third, *_ = [
        each for each in records.time_entries.ascending() if each.project.id in budgeted
    ]
    account.change("time_entries", first.id, hours="9.5", rounded_hours="9.5")
    account.change("time_entries", second.id, budgeted=False)
    account.delete("time_entries", third.id)
    account.change("projects", first.project.id, budget=1234)
    person = next(each for each in records.user_assignments if each.budget)
    account.change("user_assignments", person.id, budget=None)
    assert nothing_differs(loaded.reconcile()) == EQUAL
    assert loaded.query(
        "SELECT count(*) > 3, count(*) = count(DISTINCT project_id) FROM project_budgets"
    ) == [(True, True)]
    assert loaded.query("SELECT count(*) > 3 FROM unbilled_work") == [(True,)]


def test_a_budget_that_is_not_harvests_is_a_difference(loaded: Loaded) -> None:
    (entry,) = loaded.query(
        "SELECT time_entries.id FROM time_entries JOIN projects ON projects.id = project_id"
        " WHERE budget_by = 'project' AND budgeted AND hours > 0"
        " ORDER BY spent_date DESC LIMIT 1"
    )
    loaded.tamper("UPDATE time_entries SET budgeted = false WHERE id = ?", entry[0])
    found = nothing_differs(loaded.reconcile())
    loaded.tamper("UPDATE time_entries SET budgeted = true WHERE id = ?", entry[0])
    assert found == {**EQUAL, "budget_differences": False}
