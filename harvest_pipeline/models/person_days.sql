-- How much each person could have worked on each day: the days of a person, and the capacity.
--
-- Harvest keeps no days of employment. A person's first day is the one on which the person was
-- added to Harvest, or of the first time entry if that is earlier, but not before the first entry
-- of the whole account that is in this database. The last day is the day of the last read of time
-- entries for those who are active, or of a later entry; for those who are archived it is the day
-- of their last entry, or the last day on which a snapshot shows them active, or without either the
-- day of the last change to their record.
--
-- Capacity is the weekly capacity divided by 5 on each Monday to Friday; Harvest knows no public
-- holidays and no leave. What it was on a day is known since people_snapshots are made; before, it
-- is that of the first snapshot, and `capacity_is_recorded` is false.
--
-- group: people
-- grain: user_id, day
-- reads: users, people_snapshots, entry_values, freshness, company
--
-- user_id: Id of the person.
-- day: The day.
-- week: First day of its week, which begins on the day that the company has chosen.
-- month: First day of its month.
-- is_working_day: Whether it is a Monday to Friday.
-- capacity_hours: Hours that the person could work on it.
-- capacity_is_recorded: Whether a snapshot shows that, rather than a later one.
WITH account AS (
    SELECT
        min(day) AS first_day,
        coalesce(
            (
                SELECT local_day(as_of) FROM freshness
                WHERE record = 'time_entries'
            ),
            max(day)
        ) AS last_day
    FROM entry_values
),

worked AS (
    SELECT user_id, min(day) AS first_entry, max(day) AS last_entry
    FROM entry_values
    GROUP BY user_id
),

seen AS (
    SELECT user_id, max(day) AS last_active
    FROM people_snapshots
    WHERE is_active
    GROUP BY user_id
),

people AS (
    SELECT
        coalesce(users.id, worked.user_id) AS user_id,
        users.weekly_capacity,
        greatest(
            least(local_day(users.created_at), worked.first_entry),
            account.first_day
        ) AS first_day,
        CASE
            WHEN users.is_active THEN greatest(account.last_day, worked.last_entry)
            ELSE coalesce(
                greatest(worked.last_entry, seen.last_active),
                local_day(users.updated_at)
            )
        END AS last_day
    FROM users
    FULL JOIN worked ON worked.user_id = users.id
    LEFT JOIN seen ON seen.user_id = users.id
    CROSS JOIN account
),

days AS (
    SELECT
        user_id,
        weekly_capacity,
        unnest(range(first_day, last_day + 1, INTERVAL 1 DAY))::DATE AS day
    FROM people
),

recorded AS (
    SELECT
        days.user_id,
        days.day,
        isodow(days.day) <= 5 AS is_working_day,
        coalesce(past.weekly_capacity, future.weekly_capacity, days.weekly_capacity)
            AS weekly_capacity,
        past.day IS NOT NULL AS capacity_is_recorded
    FROM days
    ASOF LEFT JOIN people_snapshots AS past
        ON past.user_id = days.user_id AND past.day <= days.day
    ASOF LEFT JOIN people_snapshots AS future
        ON future.user_id = days.user_id AND future.day > days.day
)

SELECT
    recorded.user_id,
    recorded.day,
    recorded.day - (
        (isodow(recorded.day) - CASE company.week_start_day
            WHEN 'Saturday' THEN 6
            WHEN 'Sunday' THEN 7
            ELSE 1
        END + 7) % 7
    )::INTEGER AS week,
    date_trunc('month', recorded.day)::DATE AS month,
    recorded.is_working_day,
    CASE
        WHEN recorded.is_working_day THEN (recorded.weekly_capacity / 3600 / 5)::DECIMAL(18,9)
        ELSE 0
    END AS capacity_hours,
    recorded.capacity_is_recorded
FROM recorded
LEFT JOIN company ON true
