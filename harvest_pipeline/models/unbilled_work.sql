-- Work and expenses that were not invoiced yet, by project and month, and how old they are.
--
-- These are Harvest's own rules for its uninvoiced report, and the sum over all months equals it.
-- Only billable projects are here, and of them only the months in which something waits, months to
-- come too if something was entered for them.
--
-- Time and materials: billable hours that are not marked as invoiced, times their rates, plus
-- billable expenses that are not marked as invoiced, in the month of the work.
--
-- Fixed fee: the fee less what was invoiced of it, whatever hours were tracked. It belongs to no
-- month of work, so it stands in the month in which the project starts (without a start date, in
-- which it was made in Harvest), once that day is reached. It is negative if more than the fee was
-- invoiced. Invoiced are the project's lines before discount and taxes, without those of expenses,
-- drafts included. Its hours and expenses that are not marked as invoiced are shown, but are not
-- part of the amount.
--
-- Amounts are rounded so that the months of a project add up to its whole amount.
--
-- group: answers
-- grain: project_id, month
-- reads: entry_values, expense_values, projects, invoice_line_values, freshness
--
-- project_id: Id of the project.
-- project_name: Name of the project.
-- client_id: Id of the client.
-- client_name: Name of the client.
-- currency: Currency of the client; all money of the row is in it.
-- month: First day of the month.
-- is_fixed_fee: Whether the project is billed by a fixed fee.
-- hours: Rounded billable hours that were not invoiced.
-- time_amount: Those hours times their rates; at list price for a fixed fee.
-- expenses: Billable expenses that were not invoiced.
-- amount: What can be invoiced: time and expenses, or for a fixed fee what is left of it.
-- hours_without_rate: Hours of these without a billable rate, which count as 0 in the amount.
-- oldest_day: The day of the oldest entry or expense that waits.
-- age_days: Days since then, until time entries were last read.
-- as_of: How fresh this is: Harvest's clock before the oldest of the reads behind it, in UTC.
WITH today AS (
    SELECT coalesce(max(local_day(as_of)), current_date) AS day
    FROM freshness
    WHERE record = 'time_entries'
),

waiting AS (
    SELECT
        project_id,
        day,
        billable_hours AS hours,
        billable_amount::DECIMAL(38, 9) AS time_amount,
        0::DECIMAL(38, 9) AS expenses,
        CASE WHEN billable_rate IS NULL THEN billable_hours ELSE 0 END AS hours_without_rate
    FROM entry_values
    WHERE billable AND NOT is_billed
    UNION ALL
    SELECT project_id, day, 0, 0, amount::DECIMAL(38, 9), 0
    FROM expense_values
    WHERE billable AND NOT is_billed
),

waiting_months AS (
    SELECT
        waiting.project_id,
        date_trunc('month', waiting.day)::DATE AS month,
        sum(waiting.hours) AS hours,
        sum(waiting.time_amount) AS time_amount,
        sum(waiting.expenses) AS expenses,
        sum(waiting.hours_without_rate) AS hours_without_rate,
        min(waiting.day) AS oldest_day
    FROM waiting
    INNER JOIN projects AS project ON project.id = waiting.project_id
    WHERE project.is_billable
    GROUP BY waiting.project_id, date_trunc('month', waiting.day)::DATE
),

invoiced AS (
    SELECT project_id, sum(amount) AS amount
    FROM invoice_line_values
    WHERE NOT is_expense AND project_id IS NOT NULL
    GROUP BY project_id
),

fees AS (
    SELECT
        project.id AS project_id,
        date_trunc(
            'month', coalesce(project.starts_on, local_day(project.created_at))
        )::DATE AS month,
        coalesce(project.fee, 0) - coalesce(invoiced.amount, 0) AS amount
    FROM projects AS project
    CROSS JOIN today
    LEFT JOIN invoiced ON invoiced.project_id = project.id
    WHERE project.is_billable
        AND project.is_fixed_fee
        AND coalesce(project.starts_on, local_day(project.created_at)) <= today.day
),

project_months AS (
    SELECT project_id, month FROM waiting_months
    UNION
    SELECT project_id, month FROM fees WHERE amount <> 0
),

figures AS (
    SELECT
        project.id AS project_id,
        project.name AS project_name,
        project.client_id,
        project.client_name,
        project.client_currency AS currency,
        project_months.month,
        project.is_fixed_fee,
        coalesce(waiting_months.hours, 0) AS hours,
        coalesce(waiting_months.time_amount, 0) AS time_amount,
        coalesce(waiting_months.expenses, 0) AS expenses,
        coalesce(waiting_months.hours_without_rate, 0) AS hours_without_rate,
        waiting_months.oldest_day,
        CASE
            WHEN project.is_fixed_fee THEN coalesce(fees.amount, 0)::DECIMAL(38, 9)
            ELSE coalesce(waiting_months.time_amount + waiting_months.expenses, 0)
        END AS amount
    FROM project_months
    INNER JOIN projects AS project ON project.id = project_months.project_id
    LEFT JOIN waiting_months
        ON waiting_months.project_id = project_months.project_id
        AND waiting_months.month = project_months.month
    LEFT JOIN fees
        ON fees.project_id = project_months.project_id AND fees.month = project_months.month
),

running AS (
    SELECT
        *,
        sum(amount) OVER (PARTITION BY project_id ORDER BY month) AS amount_to_date
    FROM figures
)

SELECT
    running.project_id,
    running.project_name,
    running.client_id,
    running.client_name,
    running.currency,
    running.month,
    running.is_fixed_fee,
    running.hours,
    money(running.time_amount, running.currency) AS time_amount,
    money(running.expenses, running.currency) AS expenses,
    money(running.amount_to_date, running.currency)
    - money(running.amount_to_date - running.amount, running.currency) AS amount,
    running.hours_without_rate,
    running.oldest_day,
    today.day - running.oldest_day AS age_days,
    (
        SELECT min(as_of) FROM freshness
        WHERE record IN ('time_entries', 'expenses', 'projects', 'invoices')
    ) AS as_of
FROM running
CROSS JOIN today
