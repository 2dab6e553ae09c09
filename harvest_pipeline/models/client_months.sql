-- Each client's months: hours, revenue, margin, share of the total, and how long nothing happened.
--
-- A client has a row for every month from its first one with hours, revenue, cost or an invoice to
-- the month in which time entries were last read, also for months without any: so it shows who has
-- gone quiet. Revenue, cost and margin are the sums of `profitability` over the client's projects;
-- they are empty where one of them is, and `reason` says why. The share is that of all clients with
-- the same currency, for money of different currencies is never added, and of the revenue that is
-- known.
--
-- Days since the last entry are counted to the end of the month, in the present month to the day on
-- which time entries were last read.
--
-- Retainers are an estimate: Harvest tells which invoices belong to a retainer, but neither which
-- of them fill it nor its balance. Taken for a draw is an invoice of a retainer that bills work, a
-- project in a line or a period of work; every other one is taken for an invoice that fills it.
-- Drafts and invoices that were written off do not count; amounts are with taxes, in the month of
-- the issue date.
--
-- group: answers
-- grain: client_id, month
-- reads: clients, entry_values, profitability, invoices, invoice_line_items, freshness
--
-- client_id: Id of the client.
-- client_name: Name of the client.
-- month: First day of the month.
-- currency: Currency of the client; all money of the row is in it.
-- hours: Hours as tracked.
-- billable_hours: Rounded hours that can be billed.
-- revenue: What the month earned, over all projects of the client.
-- cost: What it cost.
-- margin: Revenue less cost.
-- margin_percent: Margin in percent of the revenue.
-- reason: Why there is no margin: what is missing, in words.
-- revenue_share_percent: Revenue in percent of that of all clients with this currency.
-- hours_share_percent: Hours in percent of those of all clients.
-- last_entry_on: The day of the last time entry until then.
-- days_since_last_entry: Days since then; over 30 the client may have gone quiet.
-- retainer_invoiced_estimate: Invoices that fill a retainer; an estimate.
-- retainer_drawn_estimate: Invoices that draw on a retainer; an estimate.
-- as_of: How fresh this is: Harvest's clock before the oldest of the reads behind it, in UTC.
WITH today AS (
    SELECT coalesce(max(local_day(as_of)), current_date) AS day
    FROM freshness
    WHERE record = 'time_entries'
),

worked AS (
    SELECT
        client_id,
        date_trunc('month', day)::DATE AS month,
        sum(hours) AS hours,
        sum(billable_hours) AS billable_hours,
        max(day) AS last_entry_on
    FROM entry_values
    GROUP BY client_id, date_trunc('month', day)::DATE
),

earned AS (
    SELECT
        client_id,
        month,
        CASE WHEN count(revenue) = count(*) THEN sum(revenue) END AS revenue,
        CASE WHEN count(cost) = count(*) THEN sum(cost) END AS cost,
        CASE WHEN count(margin) = count(*) THEN sum(margin) END AS margin,
        string_agg(DISTINCT reason, '; ' ORDER BY reason) AS reason
    FROM profitability
    GROUP BY client_id, month
),

retainer_invoices AS (
    SELECT
        invoice.client_id,
        date_trunc('month', invoice.issue_date)::DATE AS month,
        money(invoice.amount, invoice.currency) AS amount,
        invoice.period_start IS NOT NULL
        OR invoice.id IN (
            SELECT invoice_id FROM invoice_line_items WHERE project_id IS NOT NULL
        ) AS is_draw
    FROM invoices AS invoice
    WHERE invoice.retainer_id IS NOT NULL AND invoice.state IN ('open', 'paid')
),

retainers AS (
    SELECT
        client_id,
        month,
        coalesce(sum(amount) FILTER (WHERE NOT is_draw), 0) AS invoiced,
        coalesce(sum(amount) FILTER (WHERE is_draw), 0) AS drawn
    FROM retainer_invoices
    GROUP BY client_id, month
),

active_months AS (
    SELECT client_id, month FROM worked
    UNION
    SELECT client_id, month FROM earned
    UNION
    SELECT client_id, date_trunc('month', issue_date)::DATE FROM invoices
),

spans AS (
    SELECT
        active_months.client_id,
        min(active_months.month) AS first_month,
        max(date_trunc('month', today.day)::DATE) AS last_month
    FROM active_months
    CROSS JOIN today
    GROUP BY active_months.client_id
),

months AS (
    SELECT
        client_id,
        unnest(generate_series(first_month, last_month, INTERVAL 1 MONTH))::DATE AS month
    FROM spans
),

figures AS (
    SELECT
        months.client_id,
        client.name AS client_name,
        months.month,
        client.currency,
        coalesce(worked.hours, 0) AS hours,
        coalesce(worked.billable_hours, 0) AS billable_hours,
        -- A month without any row in `profitability` earned and cost nothing.
        CASE WHEN earned.month IS NULL THEN 0 ELSE earned.revenue END::DECIMAL(38, 3) AS revenue,
        CASE WHEN earned.month IS NULL THEN 0 ELSE earned.cost END::DECIMAL(38, 3) AS cost,
        CASE WHEN earned.month IS NULL THEN 0 ELSE earned.margin END::DECIMAL(38, 3) AS margin,
        earned.reason,
        coalesce(retainers.invoiced, 0) AS retainer_invoiced_estimate,
        coalesce(retainers.drawn, 0) AS retainer_drawn_estimate,
        max(worked.last_entry_on) OVER (
            PARTITION BY months.client_id ORDER BY months.month
        ) AS last_entry_on,
        least(last_day(months.month), today.day) AS counted_to
    FROM months
    CROSS JOIN today
    LEFT JOIN clients AS client ON client.id = months.client_id
    LEFT JOIN worked
        ON worked.client_id = months.client_id AND worked.month = months.month
    LEFT JOIN earned
        ON earned.client_id = months.client_id AND earned.month = months.month
    LEFT JOIN retainers
        ON retainers.client_id = months.client_id AND retainers.month = months.month
)

SELECT
    client_id,
    client_name,
    month,
    currency,
    hours,
    billable_hours,
    revenue,
    cost,
    margin,
    CASE
        WHEN revenue <> 0 THEN round(100 * margin / revenue, 1)::DECIMAL(18, 1)
    END AS margin_percent,
    reason,
    round(
        100 * revenue / nullif(sum(revenue) OVER (PARTITION BY month, currency), 0), 1
    )::DECIMAL(18, 1) AS revenue_share_percent,
    round(100 * hours / nullif(sum(hours) OVER (PARTITION BY month), 0), 1)::DECIMAL(18, 1)
        AS hours_share_percent,
    last_entry_on,
    greatest(counted_to - last_entry_on, 0) AS days_since_last_entry,
    retainer_invoiced_estimate,
    retainer_drawn_estimate,
    (
        SELECT min(as_of) FROM freshness
        WHERE record IN ('time_entries', 'expenses', 'projects', 'invoices')
    ) AS as_of
FROM figures
