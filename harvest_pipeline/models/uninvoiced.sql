-- Harvest's uninvoiced report: what of each month's work on a project is not yet invoiced.
--
-- The same figures as Harvest's own report, for every month, also after late edits; the nightly
-- comparison asks Harvest for them with this SQL. It has billable projects that are billed by
-- hours; what is left of a fixed fee belongs to no month. Hours are those after the account's
-- rounding rule. A month in which a project has neither time nor expenses has no row.
--
-- How Harvest rounds an amount is not documented, so there are three: the rounded sum, the sum of
-- rounded entries, and the exact one. They are the same where every entry comes to whole cents.
--
-- group: invoices
-- grain: month, project_id
-- reads: entry_values, expense_values, projects
--
-- month: First day of the month.
-- project_id: Id of the project.
-- project_name: Name of the project.
-- client_id: Id of the client.
-- client_name: Name of the client.
-- currency: Currency of the client; the amounts are in it.
-- total_hours: All hours, invoiced or not.
-- uninvoiced_hours: Billable hours that are not invoiced.
-- uninvoiced_expenses: Billable expenses that are not invoiced.
-- uninvoiced_amount: Uninvoiced hours times the billable rate, and uninvoiced expenses, rounded to
--   the digits of the currency.
-- uninvoiced_amount_by_entry: The same, with each entry rounded to cents first.
-- uninvoiced_amount_exact: The same, not rounded.
WITH parts AS (
    SELECT
        project_id,
        date_trunc('month', day)::DATE AS month,
        rounded_hours AS total_hours,
        CASE WHEN is_billed THEN 0 ELSE billable_hours END AS hours,
        CASE WHEN is_billed THEN 0 ELSE billable_amount END AS amount,
        0 AS expense
    FROM entry_values

    UNION ALL

    SELECT
        project_id,
        date_trunc('month', day)::DATE AS month,
        0 AS total_hours,
        0 AS hours,
        0 AS amount,
        CASE WHEN is_billed THEN 0 ELSE billable_amount END AS expense
    FROM expense_values
)

SELECT
    parts.month,
    parts.project_id,
    project.name AS project_name,
    project.client_id,
    project.client_name,
    project.client_currency AS currency,
    sum(parts.total_hours) AS total_hours,
    sum(parts.hours) AS uninvoiced_hours,
    sum(parts.expense) AS uninvoiced_expenses,
    money(sum(parts.amount) + sum(parts.expense), project.client_currency)
        AS uninvoiced_amount,
    sum(round(parts.amount, 2)) + sum(parts.expense) AS uninvoiced_amount_by_entry,
    sum(parts.amount) + sum(parts.expense) AS uninvoiced_amount_exact
FROM parts
INNER JOIN projects AS project ON project.id = parts.project_id
WHERE project.is_billable AND NOT project.is_fixed_fee
GROUP BY
    parts.month,
    parts.project_id,
    project.name,
    project.client_id,
    project.client_name,
    project.client_currency
