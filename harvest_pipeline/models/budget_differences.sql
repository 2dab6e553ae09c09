-- Where our budgets are not those of Harvest's project budget report; none if all is well.
--
-- Compared is the last day of `budget_burn`, if the report, which is read once a day, was read on
-- it, and not otherwise: entries of earlier days may have been added or changed since. Entries that
-- were changed later on that day make a difference until the report is read again, and so does time
-- entered for days to come, which the report counts, until those days are loaded. Figures that
-- Harvest hides from the person who reads are not compared.
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
WITH last_day AS (
    SELECT max(day) AS day FROM budget_burn
),

report AS (
    SELECT budget.project_id, budget.project_name, budget.day, budget.budget, budget.budget_spent
    FROM project_budgets AS budget
    INNER JOIN last_day ON last_day.day = budget.day
),

burn AS (
    SELECT burn.project_id, burn.project_name, burn.day, burn.unit, burn.budget, burn.spent
    FROM budget_burn AS burn
    INNER JOIN last_day ON last_day.day = burn.day
    WHERE EXISTS (FROM report)
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
