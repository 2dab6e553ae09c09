-- Where the budgets of `budget_burn` are not those of Harvest's project budget report; none if all
-- is well.
--
-- The report is read once a day. Its last reading is compared with the day of that reading: older
-- ones no longer tell anything, since entries of their days may have been added or changed.
-- Figures that Harvest hides from the person who reads are not compared.
--
-- group: checks
-- grain: project_id
-- reads: budget_burn, project_budgets
--
-- project_id: Id of the project.
-- project_name: Name of the project.
-- day: The day of the reading.
-- unit: hours, or the currency of the client.
-- budget: The budget in `budget_burn`; empty if the project has none there.
-- harvest_budget: The budget in Harvest's report; empty if the project is not in it.
-- spent: What was spent, in `budget_burn`.
-- harvest_spent: What was spent, in Harvest's report.
WITH report AS (
    SELECT project_id, project_name, day, budget, budget_spent FROM project_budgets
    WHERE day = (SELECT max(day) FROM project_budgets)
),

burn AS (
    SELECT project_id, project_name, day, unit, budget, spent FROM budget_burn
    WHERE day = (SELECT max(day) FROM project_budgets)
)

SELECT
    coalesce(burn.project_id, report.project_id) AS project_id,
    coalesce(burn.project_name, report.project_name) AS project_name,
    coalesce(burn.day, report.day) AS day,
    burn.unit,
    burn.budget,
    report.budget AS harvest_budget,
    burn.spent,
    report.budget_spent AS harvest_spent
FROM burn
FULL JOIN report ON report.project_id = burn.project_id
WHERE burn.project_id IS NULL
    OR report.project_id IS NULL
    OR burn.budget <> money(report.budget, burn.unit)
    OR burn.spent <> money(report.budget_spent, burn.unit)
