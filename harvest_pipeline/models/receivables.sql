-- Who owes us what: every open invoice, with what is due and for how long.
--
-- Open are invoices that were sent and are not paid in full; drafts are not sent yet, and closed
-- ones were written off, even though both keep an amount due. Days past due are counted from the
-- due date to the day on which invoices were last read; an invoice that is not late yet has 0. An
-- open invoice with a negative amount due, such as a credit note, is a credit of the client.
--
-- Days to pay are those from the issue date to the day on which the invoice was paid in full, on
-- average over all invoices in that currency that the client has paid.
--
-- What was receivable on an earlier day is in `receivables_history`.
--
-- group: answers
-- grain: invoice_id
-- reads: invoices, freshness
--
-- invoice_id: Id of the invoice.
-- invoice_number: Number of the invoice.
-- client_id: Id of the client.
-- client_name: Name of the client.
-- currency: Currency of the invoice.
-- issue_date: The day that the invoice bears.
-- due_date: The day by which it is to be paid.
-- amount: Total of the invoice, with taxes.
-- paid_amount: What was paid of it.
-- due_amount: What is still to be paid.
-- days_past_due: Days since the due date; 0 before it.
-- bucket: 0, 1–30, 31–60, 61–90 or 90+ days past due; credit if the amount due is negative.
-- client_days_to_pay: Days that the client took to pay an invoice, on average.
-- expected_on: Issue date plus these days: when payment may be expected.
-- as_of: How fresh this is: Harvest's clock before the last read of invoices, in UTC.
WITH today AS (
    SELECT
        coalesce(max(local_day(as_of)), current_date) AS day,
        max(as_of) AS as_of
    FROM freshness
    WHERE record = 'invoices'
),

days_to_pay AS (
    SELECT client_id, currency, avg(paid_date - issue_date) AS days
    FROM invoices
    WHERE state = 'paid' AND paid_date IS NOT NULL
    GROUP BY client_id, currency
),

open_invoices AS (
    SELECT
        invoice.id AS invoice_id,
        invoice.number AS invoice_number,
        invoice.client_id,
        invoice.client_name,
        invoice.currency,
        invoice.issue_date,
        invoice.due_date,
        money(invoice.amount, invoice.currency) AS amount,
        money(invoice.due_amount, invoice.currency) AS due_amount,
        greatest(today.day - invoice.due_date, 0) AS days_past_due,
        today.as_of
    FROM invoices AS invoice
    CROSS JOIN today
    WHERE invoice.state = 'open'
)

SELECT
    open_invoices.invoice_id,
    open_invoices.invoice_number,
    open_invoices.client_id,
    open_invoices.client_name,
    open_invoices.currency,
    open_invoices.issue_date,
    open_invoices.due_date,
    open_invoices.amount,
    open_invoices.amount - open_invoices.due_amount AS paid_amount,
    open_invoices.due_amount,
    open_invoices.days_past_due,
    ageing_bucket(open_invoices.due_amount, open_invoices.days_past_due) AS bucket,
    round(days_to_pay.days, 1)::DECIMAL(18, 1) AS client_days_to_pay,
    open_invoices.issue_date + round(days_to_pay.days)::INTEGER AS expected_on,
    open_invoices.as_of
FROM open_invoices
LEFT JOIN days_to_pay
    ON days_to_pay.client_id = open_invoices.client_id
    AND days_to_pay.currency = open_invoices.currency
