-- When Harvest was last asked for each record.
--
-- Every model says with `as_of` how fresh its figures are: the instant, by Harvest's clock, before
-- the last read that brought everything of its records, or everything that had changed. Where a
-- model reads several records, the one that was asked for longest ago counts. A read of a part (of
-- some projects, of some people) does not count.
--
-- group: freshness
-- grain: record
-- reads: _loads
--
-- record: The record, which is also its table.
-- as_of: Harvest's clock before the last such read began, in UTC.
SELECT record, max(read_at) AS as_of
FROM _loads
WHERE proof = 'changes'
    OR (filters IS NULL AND proof IN ('total_entries', 'cursor_chain', 'counted', 'module_off'))
GROUP BY record
