-- What was invoiced, paid and earned in each month, by client and project, and the difference:
-- accrued or deferred revenue.
--
-- Invoiced is what the lines of invoices come to after discount and before taxes, in the month of
-- the issue date. Drafts do not count; invoices that were written off do, and what was not paid of
-- them stands as written off in the month in which they were closed. An invoice that fills a
-- retainer counts like any other (see `client_months`).
--
-- Cash is what was paid, with taxes, in the month of the payment day. Payments are of whole
-- invoices: each is split over the projects of its invoice in proportion to their lines, a split
-- that is ours.
--
-- Earned is the revenue of `profitability`: the value of the work of the month, or the month's part
-- of a fixed fee. Lines of no project are earned when they are invoiced. Expenses that are invoiced
-- beside a fixed fee are no part of it, so they are left out where earned is compared with
-- invoiced.
--
-- The balance is all that was earned less all that was invoiced until the end of the month: accrued
-- if it is positive (earned, not yet invoiced), deferred if it is negative (invoiced, not yet
-- earned). Discounts and work that is never invoiced stay in it. It is empty where what was earned
-- is not known. A project has a row for each month in which anything moved or a balance stands,
-- from its first one to this month, or until its fixed fee ends.
--
-- group: answers
-- grain: month, client_id, project_id, currency
-- reads: invoice_line_values, invoices, invoice_payments, profitability, projects, clients,
--   freshness
--
-- month: First day of the month.
-- client_id: Id of the client.
-- client_name: Name of the client.
-- project_id: Id of the project; empty for lines of no project.
-- project_name: Name of the project.
-- currency: Currency of the invoices and of the client; all money of the row is in it.
-- invoiced: Lines of invoices after discount and before taxes.
-- invoiced_fee_expenses: The part of it that is expenses beside a fixed fee.
-- written_off: What was not paid of invoices that were closed in the month, before taxes.
-- cash: What was paid in the month, with taxes.
-- earned: Revenue earned in the month; empty if it is not known.
-- earned_less_invoiced: What the month adds to the balance.
-- accrued: Earned until the end of the month and not yet invoiced.
-- deferred: Invoiced until the end of the month and not yet earned.
-- as_of: How fresh this is: Harvest's clock before the oldest of the reads behind it, in UTC.
WITH today AS (
    SELECT coalesce(max(local_day(as_of)), current_date) AS day
    FROM freshness
    WHERE record = 'invoices'
),

invoice_projects AS (
    SELECT
        invoice_id,
        project_id,
        sum(net_amount) AS net_amount
    FROM invoice_line_values
    GROUP BY invoice_id, project_id
),

invoice_shares AS (
    SELECT
        invoice_id,
        project_id,
        net_amount,
        sum(net_amount) OVER (PARTITION BY invoice_id) AS invoice_net_amount,
        sum(net_amount) OVER (
            PARTITION BY invoice_id ORDER BY project_id NULLS LAST
        ) AS net_amount_to_here
    FROM invoice_projects
),

movements AS (
    SELECT
        date_trunc('month', line.issue_date)::DATE AS month,
        line.client_id,
        line.project_id,
        line.currency,
        line.net_amount::DECIMAL(38, 9) AS invoiced,
        CASE
            WHEN line.is_expense AND project.is_fixed_fee THEN line.net_amount ELSE 0
        END::DECIMAL(38, 9) AS invoiced_fee_expenses,
        0::DECIMAL(38, 9) AS written_off,
        0::DECIMAL(38, 9) AS cash,
        CASE WHEN line.project_id IS NULL THEN line.net_amount ELSE 0 END::DECIMAL(38, 9) AS earned,
        false AS is_earned_unknown
    FROM invoice_line_values AS line
    LEFT JOIN projects AS project ON project.id = line.project_id
    WHERE line.state <> 'draft'
    UNION ALL
    SELECT
        date_trunc('month', local_day(invoice.closed_at))::DATE,
        invoice.client_id,
        share.project_id,
        invoice.currency,
        0,
        0,
        (share.net_amount::DECIMAL(38, 9) * invoice.due_amount::DECIMAL(38, 9) / invoice.amount)
            ::DECIMAL(38, 9),
        0,
        0,
        false
    FROM invoices AS invoice
    INNER JOIN invoice_shares AS share ON share.invoice_id = invoice.id
    WHERE invoice.state = 'closed' AND invoice.amount <> 0
    UNION ALL
    SELECT
        date_trunc('month', payment.paid_date)::DATE,
        invoice.client_id,
        share.project_id,
        invoice.currency,
        0,
        0,
        0,
        -- The part of the projects up to this one less that of the projects before it, both
        -- rounded: so the parts add up to the payment.
        CASE
            WHEN share.invoice_id IS NULL THEN payment.amount::DECIMAL(38, 9)
            ELSE money(
                (
                    payment.amount::DECIMAL(38, 9) * share.net_amount_to_here::DECIMAL(38, 9)
                    / share.invoice_net_amount
                )::DECIMAL(38, 9),
                invoice.currency
            )
            - money(
                (
                    payment.amount::DECIMAL(38, 9)
                    * (share.net_amount_to_here - share.net_amount)::DECIMAL(38, 9)
                    / share.invoice_net_amount
                )::DECIMAL(38, 9),
                invoice.currency
            )
        END,
        0,
        false
    FROM invoice_payments AS payment
    INNER JOIN invoices AS invoice ON invoice.id = payment.invoice_id
    LEFT JOIN invoice_shares AS share
        ON share.invoice_id = invoice.id AND share.invoice_net_amount <> 0
    UNION ALL
    SELECT
        month,
        client_id,
        project_id,
        currency,
        0,
        0,
        0,
        0,
        coalesce(revenue, 0),
        revenue IS NULL OR hours_without_rate > 0
    FROM profitability
),

moved AS (
    SELECT
        month,
        client_id,
        project_id,
        currency,
        money(sum(invoiced), currency) AS invoiced,
        money(sum(invoiced_fee_expenses), currency) AS invoiced_fee_expenses,
        money(sum(written_off), currency) AS written_off,
        money(sum(cash), currency) AS cash,
        money(sum(earned), currency) AS earned,
        bool_or(is_earned_unknown) AS is_earned_unknown
    FROM movements
    GROUP BY month, client_id, project_id, currency
),

subjects AS (
    SELECT
        client_id,
        project_id,
        currency,
        min(month) AS first_month,
        greatest(max(month), max(date_trunc('month', today.day)::DATE)) AS last_month
    FROM moved
    CROSS JOIN today
    GROUP BY client_id, project_id, currency
),

subject_months AS (
    SELECT
        client_id,
        project_id,
        currency,
        unnest(generate_series(first_month, last_month, INTERVAL 1 MONTH))::DATE AS month
    FROM subjects
),

monthly AS (
    SELECT
        subject_months.month,
        subject_months.client_id,
        subject_months.project_id,
        subject_months.currency,
        moved.month IS NOT NULL AS has_moved,
        coalesce(moved.invoiced, 0) AS invoiced,
        coalesce(moved.invoiced_fee_expenses, 0) AS invoiced_fee_expenses,
        coalesce(moved.written_off, 0) AS written_off,
        coalesce(moved.cash, 0) AS cash,
        coalesce(moved.earned, 0) AS earned,
        coalesce(moved.is_earned_unknown, false) AS is_earned_unknown
    FROM subject_months
    LEFT JOIN moved
        ON moved.month = subject_months.month
        AND moved.client_id = subject_months.client_id
        AND moved.project_id IS NOT DISTINCT FROM subject_months.project_id
        AND moved.currency IS NOT DISTINCT FROM subject_months.currency
),

balances AS (
    SELECT
        *,
        bool_or(is_earned_unknown) OVER until_then AS is_balance_unknown,
        sum(earned - invoiced + invoiced_fee_expenses) OVER until_then AS balance
    FROM monthly
    WINDOW until_then AS (PARTITION BY client_id, project_id, currency ORDER BY month)
)

SELECT
    balances.month,
    balances.client_id,
    client.name AS client_name,
    balances.project_id,
    project.name AS project_name,
    balances.currency,
    balances.invoiced,
    balances.invoiced_fee_expenses,
    balances.written_off,
    balances.cash,
    CASE WHEN NOT balances.is_earned_unknown THEN balances.earned END AS earned,
    CASE
        WHEN NOT balances.is_earned_unknown
            THEN balances.earned - balances.invoiced + balances.invoiced_fee_expenses
    END AS earned_less_invoiced,
    CASE WHEN NOT balances.is_balance_unknown THEN greatest(balances.balance, 0) END AS accrued,
    CASE WHEN NOT balances.is_balance_unknown THEN greatest(-balances.balance, 0) END AS deferred,
    (
        SELECT min(as_of) FROM freshness
        WHERE record IN ('time_entries', 'expenses', 'projects', 'invoices', 'invoice_payments')
    ) AS as_of
FROM balances
LEFT JOIN projects AS project ON project.id = balances.project_id
LEFT JOIN clients AS client ON client.id = balances.client_id
WHERE balances.has_moved OR balances.is_balance_unknown OR balances.balance <> 0
