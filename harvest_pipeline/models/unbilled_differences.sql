-- Where our unbilled work is not that of Harvest's uninvoiced report; none if all is well.
--
-- `unbilled_work` is compared with `uninvoiced`, which is compared with Harvest's own every night.
-- Compared are the sums over all months of the projects that are billed by the hour; what is left
-- of a fixed fee is in `unbilled_work` only.
--
-- group: checks
-- grain: project_id
-- reads: unbilled_work, uninvoiced
--
-- project_id: Id of the project.
-- hours: Hours that were not invoiced, in `unbilled_work`.
-- uninvoiced_hours: The same in `uninvoiced`.
-- amount: What can be invoiced, time and expenses, in `unbilled_work`.
-- uninvoiced_amount: The same in `uninvoiced`.
WITH work AS (
    SELECT project_id, sum(hours) AS hours, sum(amount) AS amount
    FROM unbilled_work
    WHERE NOT is_fixed_fee
    GROUP BY project_id
),

report AS (
    SELECT
        project_id,
        sum(uninvoiced_hours) AS hours,
        money(sum(uninvoiced_amount_exact), currency) AS amount
    FROM uninvoiced
    GROUP BY project_id, currency
)

SELECT
    coalesce(work.project_id, report.project_id) AS project_id,
    coalesce(work.hours, 0) AS hours,
    coalesce(report.hours, 0) AS uninvoiced_hours,
    coalesce(work.amount, 0) AS amount,
    coalesce(report.amount, 0) AS uninvoiced_amount
FROM work
FULL JOIN report ON report.project_id = work.project_id
WHERE coalesce(work.hours, 0) <> coalesce(report.hours, 0)
    OR coalesce(work.amount, 0) <> coalesce(report.amount, 0)
