-- Harvest's expense report by project: expenses of each month.
--
-- The same figures as Harvest's own report, for every month, also after late edits; the nightly
-- comparison asks Harvest for them with this SQL. Whether an expense is billable is what the
-- expense itself says, not its project. There is one row for each currency, and currencies are
-- never added.
--
-- group: expenses
-- grain: month, project_id, currency
-- reads: expense_values
--
-- month: First day of the month.
-- project_id: Id of the project.
-- project_name: Name of the project.
-- currency: Currency of the client; the amounts are in it.
-- total_amount: All expenses.
-- billable_amount: Expenses that can be billed.
SELECT
    date_trunc('month', day)::DATE AS month,
    project_id,
    max(project_name) AS project_name,
    currency,
    sum(amount) AS total_amount,
    sum(billable_amount) AS billable_amount
FROM expense_values
GROUP BY date_trunc('month', day), project_id, currency
