-- How much of the list value of each person's work on each project is invoiced, by the month of the
-- work.
--
-- List value is rounded billable hours times the billable rate, also for work for a fixed fee. What
-- was invoiced for it is the lines of the invoice that a time entry is on, less the invoice's
-- discount, without taxes, and without lines for expenses. Harvest does not say which line is for
-- which entry, so the split is ours: the lines of a project are divided among the invoice's entries
-- of this project, and lines of no project, or of one without entries there, among all entries of
-- the invoice, by list value, or by hours where there is no list value. Drafts are not invoiced yet.
--
-- Realisation is the invoiced amount divided by the list value of the same work; the effective rate
-- is the invoiced amount divided by its hours. Written off is what remained due of an invoice that
-- was closed without being paid, in proportion.
--
-- group: answers
-- grain: project_id, user_id, month
-- reads: entry_values, invoices, invoice_line_items, invoice_item_categories, freshness
--
-- project_id: Id of the project.
-- project_name: Name of the project.
-- client_id: Id of the client.
-- client_name: Name of the client.
-- user_id: Id of the person.
-- user_name: Name of the person.
-- month: First day of the month of the work.
-- currency: Currency of the client, in which the amounts are.
-- billable_hours: Rounded hours that can be billed.
-- list_value: These hours at their billable rates.
-- unbilled_value: List value of what is not marked as invoiced.
-- draft_value: List value of what is on a draft.
-- unknown_value: List value of what is marked as invoiced without an invoice, or is on one in
--   another currency.
-- billed_hours: Billable hours that are on an invoice.
-- billed_value: List value of these hours.
-- invoiced_amount: What the invoices have for them, by our split.
-- written_off_amount: The part of it that was written off.
-- realisation: Invoiced amount divided by the list value of the same hours.
-- effective_rate: Invoiced amount divided by these hours.
-- as_of: How fresh this is: Harvest's clock before the last read of time entries and invoices, in
--   UTC.
WITH work AS (
    SELECT
        entry.project_id,
        max(entry.project_name) AS project_name,
        entry.client_id,
        max(entry.client_name) AS client_name,
        entry.user_id,
        max(entry.user_name) AS user_name,
        date_trunc('month', entry.day)::DATE AS month,
        entry.currency,
        CASE
            WHEN NOT entry.is_billed THEN 'unbilled'
            WHEN invoice.currency IS DISTINCT FROM entry.currency THEN 'unknown'
            WHEN invoice.state = 'draft' THEN 'draft'
            ELSE 'billed'
        END AS status,
        entry.invoice_id,
        sum(entry.billable_hours)::DOUBLE AS hours,
        sum(entry.billable_amount) AS list_value
    FROM entry_values AS entry
    LEFT JOIN invoices AS invoice ON invoice.id = entry.invoice_id
    WHERE entry.billable
    GROUP BY
        entry.project_id,
        entry.client_id,
        entry.user_id,
        date_trunc('month', entry.day),
        entry.currency,
        status,
        entry.invoice_id
),

billed AS (
    SELECT
        invoice_id,
        project_id,
        sum(list_value)::DOUBLE AS list_value,
        sum(hours) AS hours
    FROM work
    WHERE status = 'billed'
    GROUP BY invoice_id, project_id
),

time_lines AS (
    SELECT
        line.invoice_id,
        billed.project_id,
        sum(line.amount)::DOUBLE * (1 - coalesce(max(invoice.discount), 0)::DOUBLE / 100) AS amount
    FROM invoice_line_items AS line
    INNER JOIN invoices AS invoice ON invoice.id = line.invoice_id
    LEFT JOIN billed
        ON billed.invoice_id = line.invoice_id AND billed.project_id = line.project_id
    WHERE line.kind NOT IN (
        SELECT name FROM invoice_item_categories WHERE use_as_expense AND NOT use_as_service
    )
    GROUP BY line.invoice_id, billed.project_id
),

whole AS (
    SELECT invoice_id, sum(list_value) AS list_value, sum(hours) AS hours
    FROM billed
    GROUP BY invoice_id
),

valued AS (
    SELECT
        work.*,
        CASE WHEN work.status = 'billed' THEN
            coalesce(own.amount, 0) * CASE
                WHEN billed.list_value > 0 THEN work.list_value::DOUBLE / billed.list_value
                WHEN billed.hours > 0 THEN work.hours / billed.hours
                ELSE 0
            END
            + coalesce(free.amount, 0) * CASE
                WHEN whole.list_value > 0 THEN work.list_value::DOUBLE / whole.list_value
                WHEN whole.hours > 0 THEN work.hours / whole.hours
                ELSE 0
            END
        ELSE 0 END AS invoiced,
        CASE
            WHEN invoice.state = 'closed' AND invoice.amount > 0
                THEN invoice.due_amount / invoice.amount
            ELSE 0
        END AS lost_share
    FROM work
    LEFT JOIN invoices AS invoice ON invoice.id = work.invoice_id
    LEFT JOIN billed
        ON billed.invoice_id = work.invoice_id AND billed.project_id = work.project_id
    LEFT JOIN whole ON whole.invoice_id = work.invoice_id
    LEFT JOIN time_lines AS own
        ON own.invoice_id = work.invoice_id AND own.project_id = work.project_id
    LEFT JOIN time_lines AS free
        ON free.invoice_id = work.invoice_id AND free.project_id IS NULL
),

summed AS (
    SELECT
        project_id,
        max(project_name) AS project_name,
        client_id,
        max(client_name) AS client_name,
        user_id,
        max(user_name) AS user_name,
        month,
        currency,
        sum(hours) AS billable_hours,
        sum(list_value) AS list_value,
        sum(CASE WHEN status = 'unbilled' THEN list_value ELSE 0 END) AS unbilled_value,
        sum(CASE WHEN status = 'draft' THEN list_value ELSE 0 END) AS draft_value,
        sum(CASE WHEN status = 'unknown' THEN list_value ELSE 0 END) AS unknown_value,
        sum(CASE WHEN status = 'billed' THEN hours ELSE 0 END) AS billed_hours,
        sum(CASE WHEN status = 'billed' THEN list_value ELSE 0 END) AS billed_value,
        sum(invoiced) AS invoiced_amount,
        sum(invoiced * lost_share) AS written_off_amount
    FROM valued
    GROUP BY project_id, client_id, user_id, month, currency
)

SELECT
    project_id,
    project_name,
    client_id,
    client_name,
    user_id,
    user_name,
    month,
    currency,
    billable_hours::DECIMAL(38,9) AS billable_hours,
    money(list_value, currency) AS list_value,
    money(unbilled_value, currency) AS unbilled_value,
    money(draft_value, currency) AS draft_value,
    money(unknown_value, currency) AS unknown_value,
    billed_hours::DECIMAL(38,9) AS billed_hours,
    money(billed_value, currency) AS billed_value,
    money(invoiced_amount, currency) AS invoiced_amount,
    money(written_off_amount, currency) AS written_off_amount,
    invoiced_amount / nullif(billed_value, 0) AS realisation,
    invoiced_amount / nullif(billed_hours, 0) AS effective_rate,
    (SELECT min(as_of) FROM freshness WHERE record IN ('time_entries', 'invoices')) AS as_of
FROM summed
