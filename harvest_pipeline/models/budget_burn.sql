-- How much of each project's budget was spent on each day, what was left, and when it runs out.
--
-- A budget is in hours or in money (fees). What counts are the entries that Harvest marks as
-- counting towards the budget: by default billable and non-billable ones, or only billable ones if
-- the account is set so. Hours are the rounded ones; fees are the billable hours times their rates.
-- Expenses count, billable or not, only for a budget of the project's total fees that includes
-- them. A budget by task or by person is the sum over the project's tasks or people, archived
-- assignments included; where a task or person has no budget, its hours do not count; a budget of 0
-- is a budget, and its hours do. A monthly budget starts again on the first day of each month.
--
-- There is a row for every day from the project's first entry or its start date, whichever is
-- earlier (else from the beginning of this month), to the day on which time entries were last read.
-- The last row is what Harvest's project budget report says, which also counts what was entered for
-- days to come: so that stands on the last day here, as far as those days are loaded, unless it is
-- of a later month and the budget is monthly. Harvest tells only today's budget, so that is the
-- budget of all days.
--
-- Of a project that is older than the first day that is loaded (HARVEST_START_DATE), what was spent
-- before is taken from Harvest's report: what its latest reading has more than the days that are
-- loaded. It counts from the first row on, as `spent_before`.
--
-- The pace is the mean of the last 28 days, the day itself included, or of all days if the project
-- is younger. The budget runs out on the day on which, at that pace, nothing is left; this is empty
-- if the budget is used up already, if nothing was spent in those days, if a monthly budget lasts
-- until the end of the month, and if it would take more than ten years.
--
-- group: answers
-- grain: project_id, day
-- reads: projects, task_assignments, user_assignments, entry_values, expense_values,
--   project_budgets, freshness, _loads
--
-- project_id: Id of the project.
-- project_name: Name of the project.
-- client_id: Id of the client.
-- client_name: Name of the client.
-- day: The day; what was spent includes it.
-- budget_by: project, project_cost (total fees), task, task_fees or person.
-- is_monthly: Whether the budget starts again every month.
-- unit: hours, or the currency of the client for a budget in money.
-- budget: The budget, of the month if it is monthly.
-- spent_on_day: What was spent on that day.
-- spent: What was spent until that day, since the first of the month if it is monthly.
-- spent_before: How much of that was spent before the first day that is loaded.
-- remaining: Budget less spent; negative if more was spent.
-- spent_percent: Spent in percent of the budget.
-- is_over: Whether more was spent than the budget.
-- daily_pace: What was spent a day, on average, in the last 28 days.
-- runs_out_on: The day on which nothing is left at that pace.
-- as_of: How fresh this is: Harvest's clock before the oldest of the reads behind it, in UTC.
WITH today AS (
    SELECT coalesce(max(local_day(as_of)), current_date) AS day
    FROM freshness
    WHERE record = 'time_entries'
),

budget_parts AS (
    SELECT assignment.project_id, assignment.task_id, NULL::BIGINT AS user_id, assignment.budget
    FROM task_assignments AS assignment
    INNER JOIN projects AS project ON project.id = assignment.project_id
    WHERE project.budget_by IN ('task', 'task_fees') AND assignment.budget IS NOT NULL
    UNION ALL
    SELECT assignment.project_id, NULL::BIGINT, assignment.user_id, assignment.budget
    FROM user_assignments AS assignment
    INNER JOIN projects AS project ON project.id = assignment.project_id
    WHERE project.budget_by = 'person' AND assignment.budget IS NOT NULL
),

part_sums AS (
    SELECT project_id, sum(budget) AS budget FROM budget_parts GROUP BY project_id
),

budgets AS (
    SELECT
        project.id AS project_id,
        project.name AS project_name,
        project.client_id,
        project.client_name,
        project.budget_by,
        project.budget_is_monthly AS is_monthly,
        project.starts_on,
        least(project.starts_on, local_day(project.created_at)) AS began_on,
        project.budget_by IN ('project_cost', 'task_fees') AS is_money,
        project.budget_by IN ('project', 'project_cost') AS is_whole,
        project.budget_by = 'project_cost' AND project.cost_budget_include_expenses
            AS includes_expenses,
        CASE
            WHEN project.budget_by IN ('project_cost', 'task_fees') THEN project.client_currency
            ELSE 'hours'
        END AS unit,
        CASE project.budget_by
            WHEN 'project' THEN project.budget
            WHEN 'project_cost' THEN project.cost_budget
            ELSE coalesce(part_sums.budget, 0)
        END AS budget
    FROM projects AS project
    LEFT JOIN part_sums ON part_sums.project_id = project.id
    WHERE project.budget_by <> 'none'
),

spendings AS (
    SELECT
        entry.project_id,
        budgets.is_monthly,
        entry.day,
        CASE
            WHEN budgets.is_money THEN entry.billable_amount::DECIMAL(38, 9)
            ELSE entry.rounded_hours::DECIMAL(38, 9)
        END AS amount
    FROM entry_values AS entry
    INNER JOIN budgets ON budgets.project_id = entry.project_id
    LEFT JOIN budget_parts AS part
        ON part.project_id = entry.project_id
        AND (part.task_id = entry.task_id OR part.user_id = entry.user_id)
    WHERE entry.budgeted AND (budgets.is_whole OR part.project_id IS NOT NULL)
    UNION ALL
    SELECT
        expense.project_id,
        budgets.is_monthly,
        expense.day,
        expense.amount::DECIMAL(38, 9)
    FROM expense_values AS expense
    INNER JOIN budgets ON budgets.project_id = expense.project_id
    WHERE budgets.includes_expenses
),

daily_spendings AS (
    SELECT
        spendings.project_id,
        least(spendings.day, today.day) AS day,
        sum(spendings.amount) AS amount
    FROM spendings
    CROSS JOIN today
    WHERE NOT (spendings.is_monthly AND spendings.day > last_day(today.day))
    GROUP BY spendings.project_id, least(spendings.day, today.day)
),

first_entries AS (
    SELECT project_id, min(day) AS day FROM entry_values GROUP BY project_id
),

first_loaded AS (
    SELECT min(window_first) AS day FROM _loads WHERE record = 'time_entries' AND filters IS NULL
),

readings AS (
    SELECT project_id, max(day) AS day, arg_max(budget_spent, day) AS spent
    FROM project_budgets
    GROUP BY project_id
),

spent_before AS (
    SELECT
        budgets.project_id,
        max(readings.spent)::DECIMAL(38, 9) - coalesce(sum(daily_spendings.amount), 0) AS amount
    FROM budgets
    INNER JOIN readings ON readings.project_id = budgets.project_id
    INNER JOIN first_loaded ON budgets.began_on < first_loaded.day
    LEFT JOIN daily_spendings
        ON daily_spendings.project_id = budgets.project_id
        AND daily_spendings.day <= readings.day
    WHERE NOT budgets.is_monthly
    GROUP BY budgets.project_id
    HAVING amount > 0
),

project_days AS (
    SELECT
        budgets.project_id,
        unnest(
            generate_series(
                least(
                    coalesce(
                        least(first_entries.day, budgets.starts_on),
                        date_trunc('month', today.day)::DATE
                    ),
                    today.day
                ),
                today.day,
                INTERVAL 1 DAY
            )
        )::DATE AS day
    FROM budgets
    CROSS JOIN today
    LEFT JOIN first_entries ON first_entries.project_id = budgets.project_id
),

burn AS (
    SELECT
        budgets.*,
        project_days.day,
        coalesce(daily_spendings.amount, 0) AS spent_on_day,
        coalesce(spent_before.amount, 0) AS spent_before,
        coalesce(spent_before.amount, 0) + sum(coalesce(daily_spendings.amount, 0)) OVER (
            PARTITION BY
                project_days.project_id,
                CASE WHEN budgets.is_monthly THEN date_trunc('month', project_days.day)::DATE END
            ORDER BY project_days.day
        ) AS spent,
        sum(coalesce(daily_spendings.amount, 0)) OVER last_28_days AS recently_spent,
        count(*) OVER last_28_days AS recent_days
    FROM project_days
    INNER JOIN budgets ON budgets.project_id = project_days.project_id
    LEFT JOIN daily_spendings
        ON daily_spendings.project_id = project_days.project_id
        AND daily_spendings.day = project_days.day
    LEFT JOIN spent_before ON spent_before.project_id = project_days.project_id
    WINDOW last_28_days AS (
        PARTITION BY project_days.project_id
        ORDER BY project_days.day
        ROWS BETWEEN 27 PRECEDING AND CURRENT ROW
    )
),

rounded AS (
    SELECT
        *,
        money(budget, unit) AS rounded_budget,
        money(spent, unit) AS rounded_spent,
        CASE
            WHEN recently_spent > 0 AND budget > spent
                -- Six decimals: a division gives 41.99999999 for 42.
                THEN ceil(round((budget - spent) * recent_days / recently_spent, 6))
        END AS days_left
    FROM burn
)

SELECT
    project_id,
    project_name,
    client_id,
    client_name,
    day,
    budget_by,
    is_monthly,
    unit,
    rounded_budget AS budget,
    money(spent_on_day, unit) AS spent_on_day,
    rounded_spent AS spent,
    money(spent_before, unit) AS spent_before,
    rounded_budget - rounded_spent AS remaining,
    CASE
        WHEN rounded_budget <> 0
            THEN round(100 * rounded_spent / rounded_budget, 1)::DECIMAL(18, 1)
    END AS spent_percent,
    rounded_spent > rounded_budget AS is_over,
    money((recently_spent / recent_days)::DECIMAL(38, 9), unit) AS daily_pace,
    CASE
        WHEN days_left <= 3650
            AND NOT (is_monthly AND day + days_left::INTEGER > last_day(day))
            THEN day + days_left::INTEGER
    END AS runs_out_on,
    (
        SELECT min(as_of) FROM freshness
        WHERE record IN (
            'time_entries', 'expenses', 'projects', 'task_assignments', 'user_assignments'
        )
    ) AS as_of
FROM rounded
