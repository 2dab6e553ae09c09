-- What each project earned, cost and left over in each month, by the rules of Harvest's own report.
--
-- Time and materials: revenue is the billable hours times their rates plus the billable expenses,
-- in the month of the work.
--
-- Fixed fee: revenue is the fee spread evenly over the days from the project's start to its end,
-- both included; the months add up to the fee. Where more than the fee has been invoiced, that sum
-- takes its place and is spread over the same days; how Harvest spreads it is not documented, so
-- this is our choice. Invoiced are the project's lines after discount and before taxes, without
-- those of expenses, drafts included, as in Harvest. Without a start or an end date there is
-- nothing to spread over: revenue is empty, as Harvest too asks for the date first. Months to come
-- have rows, with the revenue of their days.
--
-- A project that is not billable has no revenue.
--
-- Cost is the hours as tracked times the person's cost rate on that day, plus all expenses,
-- billable or not. Cost rates are in the company's currency: for a client with another one, each
-- day's cost is converted with the last rate in `exchange_rates` on or before that day, from the
-- company's currency to the client's. Without such a rate the cost is empty.
--
-- Margin is revenue less cost. It is empty where either is not known in full, and `reason` says
-- why; hours without a rate count as 0 in revenue and cost.
--
-- group: answers
-- grain: project_id, month
-- reads: entry_values, expense_values, projects, invoice_line_values, company, exchange_rates, freshness
--
-- project_id: Id of the project.
-- project_name: Name of the project.
-- client_id: Id of the client.
-- client_name: Name of the client.
-- month: First day of the month.
-- currency: Currency of the client; all money of the row is in it.
-- billing: time and materials, fixed fee or non-billable.
-- hours: Hours as tracked.
-- billable_hours: Rounded hours that can be billed.
-- revenue: What the month earned; empty for a fixed fee that cannot be spread.
-- time_cost: Cost of the hours; empty without an exchange rate.
-- expenses: All expenses, billable or not.
-- cost: Cost of the hours plus all expenses.
-- margin: Revenue less cost; empty if `reason` is not.
-- margin_percent: Margin in percent of the revenue.
-- hours_without_rate: Billable hours without a billable rate, which earn nothing here.
-- hours_without_cost_rate: Hours of people without a cost rate, which cost nothing here.
-- reason: Why there is no margin: what is missing, in words.
-- as_of: How fresh this is: Harvest's clock before the oldest of the reads behind it, in UTC.
WITH worked AS (
    SELECT
        entry.project_id,
        date_trunc('month', entry.day)::DATE AS month,
        sum(entry.hours) AS hours,
        sum(entry.billable_hours) AS billable_hours,
        sum(entry.billable_amount) AS billable_amount,
        coalesce(sum(entry.billable_hours) FILTER (WHERE entry.billable_rate IS NULL), 0)
            AS hours_without_rate,
        coalesce(sum(entry.hours) FILTER (WHERE entry.cost_rate IS NULL), 0)
            AS hours_without_cost_rate,
        sum(
            entry.cost_amount::DECIMAL(38, 9)
            * CASE
                WHEN entry.currency = company.currency THEN 1
                ELSE exchange_rate.rate
            END::DECIMAL(38, 9)
        ) AS cost,
        bool_or(
            entry.cost_amount <> 0
            AND entry.currency IS DISTINCT FROM company.currency
            AND exchange_rate.rate IS NULL
        ) AS lacks_exchange_rate
    FROM entry_values AS entry
    LEFT JOIN company ON true
    ASOF LEFT JOIN exchange_rates AS exchange_rate
        ON exchange_rate.from_currency = company.currency
        AND exchange_rate.to_currency = entry.currency
        AND exchange_rate.day <= entry.day
    GROUP BY entry.project_id, date_trunc('month', entry.day)::DATE
),

spent AS (
    SELECT
        project_id,
        date_trunc('month', day)::DATE AS month,
        sum(amount) AS expenses,
        sum(billable_amount) AS billable_expenses
    FROM expense_values
    GROUP BY project_id, date_trunc('month', day)::DATE
),

invoiced AS (
    SELECT project_id, sum(net_amount) AS amount
    FROM invoice_line_values
    WHERE NOT is_expense AND project_id IS NOT NULL
    GROUP BY project_id
),

fees AS (
    SELECT
        project.id AS project_id,
        project.client_currency AS currency,
        project.starts_on,
        project.ends_on,
        greatest(project.fee::DECIMAL(38, 9), invoiced.amount::DECIMAL(38, 9)) AS fee
    FROM projects AS project
    LEFT JOIN invoiced ON invoiced.project_id = project.id
    WHERE project.is_billable
        AND project.is_fixed_fee
        AND project.fee IS NOT NULL
        AND project.ends_on >= project.starts_on
),

fee_months AS (
    SELECT
        *,
        unnest(
            generate_series(date_trunc('month', starts_on)::DATE, ends_on, INTERVAL 1 MONTH)
        )::DATE AS month
    FROM fees
),

fee_shares AS (
    -- What was earned by the end of the month less what was earned before it, both rounded: so the
    -- months add up to the fee, to the cent.
    SELECT
        project_id,
        month,
        money(
            (fee * (least(last_day(month), ends_on) - starts_on + 1) / (ends_on - starts_on + 1))
                ::DECIMAL(38, 9),
            currency
        )
        - money(
            (fee * (greatest(month, starts_on) - starts_on) / (ends_on - starts_on + 1))
                ::DECIMAL(38, 9),
            currency
        ) AS amount
    FROM fee_months
),

project_months AS (
    SELECT project_id, month FROM worked
    UNION
    SELECT project_id, month FROM spent
    UNION
    SELECT project_id, month FROM fee_shares
),

figures AS (
    SELECT
        project_months.project_id,
        project.name AS project_name,
        project.client_id,
        project.client_name,
        project_months.month,
        project.client_currency AS currency,
        CASE
            WHEN NOT project.is_billable THEN 'non-billable'
            WHEN project.is_fixed_fee THEN 'fixed fee'
            WHEN project.id IS NOT NULL THEN 'time and materials'
        END AS billing,
        project.fee,
        project.starts_on,
        project.ends_on,
        coalesce(worked.hours, 0) AS hours,
        coalesce(worked.billable_hours, 0) AS billable_hours,
        coalesce(worked.billable_amount, 0) AS billable_amount,
        coalesce(worked.hours_without_rate, 0) AS hours_without_rate,
        coalesce(worked.hours_without_cost_rate, 0) AS hours_without_cost_rate,
        coalesce(worked.lacks_exchange_rate, false) AS lacks_exchange_rate,
        coalesce(worked.cost, 0) AS time_cost,
        coalesce(spent.expenses, 0) AS expenses,
        coalesce(spent.billable_expenses, 0) AS billable_expenses,
        coalesce(fee_shares.amount, 0) AS fee_share
    FROM project_months
    LEFT JOIN projects AS project ON project.id = project_months.project_id
    LEFT JOIN worked
        ON worked.project_id = project_months.project_id AND worked.month = project_months.month
    LEFT JOIN spent
        ON spent.project_id = project_months.project_id AND spent.month = project_months.month
    LEFT JOIN fee_shares
        ON fee_shares.project_id = project_months.project_id
        AND fee_shares.month = project_months.month
),

explained AS (
    SELECT
        *,
        CASE
            WHEN billing = 'non-billable' THEN 0
            WHEN billing = 'time and materials'
                THEN money(
                    billable_amount::DECIMAL(38, 9) + billable_expenses::DECIMAL(38, 9), currency
                )
            WHEN fee IS NOT NULL AND ends_on >= starts_on THEN fee_share
        END::DECIMAL(38, 3) AS revenue,
        CASE WHEN NOT lacks_exchange_rate THEN money(time_cost, currency) END AS rounded_time_cost,
        money(expenses, currency) AS rounded_expenses,
        nullif(
            concat_ws(
                '; ',
                CASE WHEN billing IS NULL THEN 'the project is not loaded' END,
                CASE
                    WHEN billing = 'fixed fee' AND fee IS NULL THEN 'the project has no fee'
                END,
                CASE
                    WHEN billing = 'fixed fee' AND (starts_on IS NULL OR ends_on IS NULL)
                        THEN 'the project has no start or no end date'
                    WHEN billing = 'fixed fee' AND ends_on < starts_on
                        THEN 'the project ends before it starts'
                END,
                CASE
                    WHEN billing = 'time and materials' AND hours_without_rate > 0
                        THEN 'hours have no billable rate'
                END,
                CASE WHEN hours_without_cost_rate > 0 THEN 'hours have no cost rate' END,
                CASE
                    WHEN lacks_exchange_rate
                        THEN 'there is no exchange rate from the currency of the company'
                END
            ),
            ''
        ) AS reason
    FROM figures
)

SELECT
    project_id,
    project_name,
    client_id,
    client_name,
    month,
    currency,
    billing,
    hours,
    billable_hours,
    revenue,
    rounded_time_cost AS time_cost,
    rounded_expenses AS expenses,
    rounded_time_cost + rounded_expenses AS cost,
    CASE WHEN reason IS NULL THEN revenue - rounded_time_cost - rounded_expenses END AS margin,
    CASE
        WHEN reason IS NULL AND revenue <> 0
            THEN round(
                100 * (revenue - rounded_time_cost - rounded_expenses) / revenue, 1
            )::DECIMAL(18, 1)
    END AS margin_percent,
    hours_without_rate,
    hours_without_cost_rate,
    reason,
    (
        SELECT min(as_of) FROM freshness
        WHERE record IN ('time_entries', 'expenses', 'projects', 'invoices')
    ) AS as_of
FROM explained
