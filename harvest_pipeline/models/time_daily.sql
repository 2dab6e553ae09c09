-- Who worked on what, on each day: hours, what they can be billed at, and what they cost.
--
-- Hours are those that were tracked; rounded hours are those after the account's rounding rule,
-- which Harvest's reports and invoices use. The billable amount is the rounded billable hours times
-- the rate, in the client's currency; work for a fixed fee has one too, at its list price. The cost
-- is the tracked hours times the person's cost rate on that day, in the company's currency, which
-- may be another one. Both are rounded to the digits of their currency; a figure that has to equal
-- Harvest's sums `entry_values` and rounds the sum.
--
-- group: answers
-- grain: user_id, project_id, task_id, day
-- reads: entry_values, company, freshness
--
-- day: The day worked.
-- user_id: Id of the person.
-- user_name: Name of the person.
-- project_id: Id of the project.
-- project_name: Name of the project.
-- task_id: Id of the task.
-- task_name: Name of the task.
-- client_id: Id of the client.
-- client_name: Name of the client.
-- currency: Currency of the client; the amounts are in it, the cost is not.
-- is_fixed_fee: Whether the project is billed by a fixed fee, so that its hours are not.
-- entries: Number of time entries.
-- hours: Hours as tracked.
-- rounded_hours: Hours after the account's rounding rule.
-- billable_hours: Rounded hours that can be billed.
-- billed_hours: Billable hours that are marked as invoiced.
-- unbilled_hours: Billable hours that are not.
-- billable_amount: Billable hours times the billable rate.
-- billed_amount: The part of the billable amount that is marked as invoiced.
-- unbilled_amount: The rest of it.
-- hours_without_rate: Billable hours that have no billable rate and so no amount.
-- cost_currency: Currency of the company; the cost is in it.
-- cost_amount: Hours times the person's cost rate.
-- hours_without_cost_rate: Hours of people without a cost rate, whose cost is not known.
-- unsubmitted_hours: Hours that were not submitted for approval.
-- submitted_hours: Hours that wait for approval.
-- approved_hours: Hours that are approved.
-- as_of: How fresh this is: Harvest's clock before the last read of time entries, in UTC.
WITH daily AS (
    SELECT
        day,
        user_id,
        max(user_name) AS user_name,
        project_id,
        max(project_name) AS project_name,
        task_id,
        max(task_name) AS task_name,
        client_id,
        max(client_name) AS client_name,
        currency,
        is_fixed_fee,
        count(*) AS entries,
        sum(hours) AS hours,
        sum(rounded_hours) AS rounded_hours,
        sum(billable_hours) AS billable_hours,
        coalesce(sum(billable_hours) FILTER (WHERE is_billed), 0) AS billed_hours,
        sum(billable_amount) AS billable_amount,
        coalesce(sum(billable_amount) FILTER (WHERE is_billed), 0) AS billed_amount,
        coalesce(sum(billable_hours) FILTER (WHERE billable_rate IS NULL), 0)
            AS hours_without_rate,
        sum(cost_amount) AS cost_amount,
        coalesce(sum(hours) FILTER (WHERE cost_rate IS NULL), 0) AS hours_without_cost_rate,
        coalesce(sum(hours) FILTER (WHERE approval_status = 'submitted'), 0) AS submitted_hours,
        coalesce(sum(hours) FILTER (WHERE approval_status = 'approved'), 0) AS approved_hours
    FROM entry_values
    GROUP BY day, user_id, project_id, task_id, client_id, currency, is_fixed_fee
)

SELECT
    daily.day,
    daily.user_id,
    daily.user_name,
    daily.project_id,
    daily.project_name,
    daily.task_id,
    daily.task_name,
    daily.client_id,
    daily.client_name,
    daily.currency,
    daily.is_fixed_fee,
    daily.entries,
    daily.hours,
    daily.rounded_hours,
    daily.billable_hours,
    daily.billed_hours,
    daily.billable_hours - daily.billed_hours AS unbilled_hours,
    money(daily.billable_amount, daily.currency) AS billable_amount,
    money(daily.billed_amount, daily.currency) AS billed_amount,
    money(daily.billable_amount, daily.currency) - money(daily.billed_amount, daily.currency)
        AS unbilled_amount,
    daily.hours_without_rate,
    company.currency AS cost_currency,
    money(daily.cost_amount, company.currency) AS cost_amount,
    daily.hours_without_cost_rate,
    daily.hours - daily.submitted_hours - daily.approved_hours AS unsubmitted_hours,
    daily.submitted_hours,
    daily.approved_hours,
    (SELECT as_of FROM freshness WHERE record = 'time_entries') AS as_of
FROM daily
LEFT JOIN company ON true
