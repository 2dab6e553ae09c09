-- When Harvest was last asked for each record.
--
-- Every model says with `as_of` how fresh its figures are: the instant, by Harvest's clock, before
-- the last read that brought everything of its records, or everything that had changed. Where a
-- model reads several records, the one that was asked for longest ago counts. A read of a part (of
-- some projects, of some people) does not count, nor one of earlier days than were ever read.
--
-- group: freshness
-- grain: record
-- reads: _loads
--
-- record: The record, which is also its table.
-- as_of: Harvest's clock before the last such read began, in UTC.
WITH whole AS (
    SELECT record, window_last, read_at
    FROM _loads
    WHERE proof = 'changes'
        OR (filters IS NULL AND proof IN ('total_entries', 'cursor_chain', 'counted', 'module_off'))
),

newest AS (
    SELECT record, max(window_last) AS last_day FROM whole GROUP BY record
)

SELECT whole.record, max(whole.read_at) AS as_of
FROM whole
INNER JOIN newest ON newest.record = whole.record
WHERE coalesce(whole.window_last >= newest.last_day, true)
GROUP BY whole.record
