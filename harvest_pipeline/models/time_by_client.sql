-- Harvest's time report by client: hours and billable amount of each month.
--
-- The same figures as Harvest's own report, for every month, also after late edits; the nightly
-- comparison asks Harvest for them with this SQL. Hours are those after the account's rounding
-- rule. The billable amount leaves out projects with a fixed fee, as Harvest's report does. There
-- is one row for each currency, and currencies are never added.
--
-- How Harvest rounds an amount is not documented, so there are three: the rounded sum, the sum of
-- rounded entries, and the exact one. They are the same where every entry comes to whole cents.
--
-- group: time
-- grain: month, client_id, currency
-- reads: entry_values
--
-- month: First day of the month.
-- client_id: Id of the client.
-- client_name: Name of the client.
-- currency: Currency of the client; the amounts are in it.
-- total_hours: All hours.
-- billable_hours: Hours that can be billed.
-- billable_amount: Billable hours times the billable rate, rounded to the digits of the currency.
-- billable_amount_by_entry: The same, with each entry rounded to cents first.
-- billable_amount_exact: The same, not rounded.
SELECT
    date_trunc('month', day)::DATE AS month,
    client_id,
    max(client_name) AS client_name,
    currency,
    sum(rounded_hours) AS total_hours,
    sum(billable_hours) AS billable_hours,
    money(sum(hourly_amount), currency) AS billable_amount,
    sum(round(hourly_amount, 2)) AS billable_amount_by_entry,
    sum(hourly_amount) AS billable_amount_exact
FROM entry_values
GROUP BY date_trunc('month', day), client_id, currency
