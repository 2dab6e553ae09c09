-- What each time entry is worth: its hours, amount and cost, not yet rounded.
--
-- The other models sum these values and round the sums, so that every figure that is compared with
-- Harvest's own reports is rounded once. Rounded hours are those after the account's rounding rule;
-- where Harvest does not send them, they are the hours as tracked. An amount is rounded hours times
-- the billable rate, in the client's currency; it is 0 where the entry is not billable or has no
-- rate. A cost is the hours as tracked times the person's cost rate on that day, in the company's
-- currency; it is 0 where there is no cost rate.
--
-- group: time
-- grain: time_entry_id
-- reads: time_entries, projects
--
-- time_entry_id: Id of the time entry.
-- day: The day worked.
-- user_id: Id of the person.
-- user_name: Name of the person.
-- project_id: Id of the project.
-- project_name: Name of the project.
-- task_id: Id of the task.
-- task_name: Name of the task.
-- client_id: Id of the client.
-- client_name: Name of the client.
-- currency: Currency of the client, in which the amount is.
-- is_fixed_fee: Whether the project is billed by a fixed fee, so that its hours are not.
-- billable: Whether the hours can be billed.
-- budgeted: Whether the hours count towards the project's budget.
-- is_billed: Whether the entry is marked as invoiced.
-- invoice_id: Id of the invoice that it is on.
-- approval_status: unsubmitted, submitted or approved.
-- created_at: When the entry was made, in UTC.
-- hours: Hours as tracked.
-- rounded_hours: Hours after the account's rounding rule.
-- billable_hours: Rounded hours, if billable.
-- billable_rate: What one hour is billed at.
-- billable_amount: Billable hours times the billable rate.
-- hourly_amount: The billable amount, or 0 where the project is billed by a fixed fee.
-- cost_rate: What one hour costs the company.
-- cost_amount: Hours times the cost rate.
SELECT
    entry.id AS time_entry_id,
    entry.spent_date AS day,
    entry.user_id,
    entry.user_name,
    entry.project_id,
    entry.project_name,
    entry.task_id,
    entry.task_name,
    entry.client_id,
    entry.client_name,
    entry.client_currency AS currency,
    coalesce(project.is_fixed_fee, false) AS is_fixed_fee,
    entry.billable,
    entry.budgeted,
    entry.is_billed,
    entry.invoice_id,
    entry.approval_status,
    entry.created_at,
    entry.hours,
    coalesce(entry.rounded_hours, entry.hours) AS rounded_hours,
    CASE WHEN entry.billable THEN coalesce(entry.rounded_hours, entry.hours) ELSE 0 END
        AS billable_hours,
    entry.billable_rate,
    CASE
        WHEN entry.billable
            THEN coalesce(entry.rounded_hours, entry.hours) * coalesce(entry.billable_rate, 0)
        ELSE 0
    END AS billable_amount,
    CASE
        WHEN entry.billable AND NOT coalesce(project.is_fixed_fee, false)
            THEN coalesce(entry.rounded_hours, entry.hours) * coalesce(entry.billable_rate, 0)
        ELSE 0
    END AS hourly_amount,
    entry.cost_rate,
    entry.hours * coalesce(entry.cost_rate, 0) AS cost_amount
FROM time_entries AS entry
LEFT JOIN projects AS project ON project.id = entry.project_id
