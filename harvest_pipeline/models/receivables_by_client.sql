-- What each client owes, by how long it is past due.
--
-- The sums of `receivables` of a client, a currency and a bucket. In the bucket `credit` are open
-- invoices with a negative amount due, and also paid ones on which more was paid than their amount:
-- what the client has with us. To see what a client owes after its credits, add the buckets up.
--
-- group: answers
-- grain: client_id, currency, bucket
-- reads: receivables, invoices, freshness
--
-- client_id: Id of the client.
-- client_name: Name of the client.
-- currency: Currency of the invoices.
-- bucket: 0, 1–30, 31–60, 61–90 or 90+ days past due; credit for what the client has with us.
-- invoices: Number of invoices.
-- due_amount: What is due on them; negative for a credit.
-- oldest_due_date: The earliest of their due dates.
-- days_to_pay: Days that the client took to pay an invoice, on average over all that it has paid.
-- as_of: How fresh this is: Harvest's clock before the last read of invoices, in UTC.
WITH dues AS (
    SELECT
        client_id, client_name, currency, bucket, due_amount, due_date, client_days_to_pay
    FROM receivables
    UNION ALL
    SELECT
        client_id, client_name, currency, 'credit', money(due_amount, currency), due_date, NULL
    FROM invoices
    WHERE state = 'paid' AND due_amount < 0
)

SELECT
    client_id,
    max(client_name) AS client_name,
    currency,
    bucket,
    count(*) AS invoices,
    sum(due_amount) AS due_amount,
    min(due_date) AS oldest_due_date,
    max(client_days_to_pay) AS days_to_pay,
    (SELECT as_of FROM freshness WHERE record = 'invoices') AS as_of
FROM dues
GROUP BY client_id, currency, bucket
