-- What was receivable on any past day: a row for each day on which an invoice was open.
--
-- Ask for one day (WHERE day = ...) and see its receivables, or group by day for their course; a
-- view rather than a function of the day, since every BI tool can filter one.
--
-- What was due on a day is what is due now plus what was paid after that day. An invoice counts
-- from its issue date, for Harvest does not tell when it was first sent, until the day before it
-- was paid in full or written off; drafts do not count. Harvest tells only the present amount of an
-- invoice and knows no deleted ones, so a day looks as its invoices look today. The last day equals
-- `receivables`.
--
-- group: answers
-- grain: day, invoice_id
-- reads: invoices, invoice_payments, freshness
--
-- day: The day; what was paid on it is no longer due.
-- invoice_id: Id of the invoice.
-- invoice_number: Number of the invoice.
-- client_id: Id of the client.
-- client_name: Name of the client.
-- currency: Currency of the invoice.
-- due_date: The day by which it was to be paid.
-- due_amount: What was still to be paid.
-- days_past_due: Days since the due date; 0 before it.
-- bucket: 0, 1–30, 31–60, 61–90 or 90+ days past due; credit if the amount due was negative.
-- as_of: How fresh this is: Harvest's clock before the older of the reads of invoices and of
--   payments, in UTC.
WITH today AS (
    SELECT coalesce(max(local_day(as_of)), current_date) AS day
    FROM freshness
    WHERE record = 'invoices'
),

collected AS (
    SELECT
        invoice.id AS invoice_id,
        invoice.number AS invoice_number,
        invoice.client_id,
        invoice.client_name,
        invoice.currency,
        invoice.issue_date,
        invoice.due_date,
        invoice.due_amount,
        -- The last day on which it was open.
        CASE invoice.state
            WHEN 'open' THEN today.day
            WHEN 'paid' THEN invoice.paid_date - 1
            WHEN 'closed' THEN local_day(invoice.closed_at) - 1
        END AS last_day
    FROM invoices AS invoice
    CROSS JOIN today
    WHERE invoice.state <> 'draft'
),

open_days AS (
    SELECT
        *,
        unnest(generate_series(issue_date, last_day, INTERVAL 1 DAY))::DATE AS day
    FROM collected
),

dues AS (
    SELECT
        open_days.day,
        open_days.invoice_id,
        open_days.invoice_number,
        open_days.client_id,
        open_days.client_name,
        open_days.currency,
        open_days.due_date,
        money(
            open_days.due_amount + coalesce(sum(payment.amount), 0), open_days.currency
        ) AS due_amount,
        greatest(open_days.day - open_days.due_date, 0) AS days_past_due
    FROM open_days
    LEFT JOIN invoice_payments AS payment
        ON payment.invoice_id = open_days.invoice_id AND payment.paid_date > open_days.day
    GROUP BY
        open_days.day,
        open_days.invoice_id,
        open_days.invoice_number,
        open_days.client_id,
        open_days.client_name,
        open_days.currency,
        open_days.due_date,
        open_days.due_amount
)

SELECT
    day,
    invoice_id,
    invoice_number,
    client_id,
    client_name,
    currency,
    due_date,
    due_amount,
    days_past_due,
    ageing_bucket(due_amount, days_past_due) AS bucket,
    (
        SELECT min(as_of) FROM freshness WHERE record IN ('invoices', 'invoice_payments')
    ) AS as_of
FROM dues
