-- How full each person is in each month: hours tracked and billable, of those that were available.
--
-- Capacity is the person's weekly capacity divided by 5, for each Monday to Friday from the person's
-- first to the last day; both, and where the capacity of a past day is from, are in `person_days`.
-- Utilisation is the hours tracked divided by the capacity, billable utilisation the billable hours
-- divided by it, billable share the billable hours divided by all of them, both after rounding.
-- They are empty where nothing is there to divide by. Whoever tracked nothing is here with 0.
--
-- group: answers
-- grain: user_id, month
-- reads: person_days, entry_values, users, freshness
--
-- user_id: Id of the person.
-- user_name: Name of the person.
-- is_contractor: Whether the person is a contractor, not an employee.
-- month: First day of the month.
-- first_day: First day in it that is one of the person's.
-- last_day: Last day in it that is one of the person's.
-- working_days: Mondays to Fridays among these days.
-- capacity_hours: Hours that the person could work on them.
-- capacity_is_recorded: Whether snapshots show the capacity of all of them, rather than a later one.
-- hours: Hours tracked.
-- rounded_hours: The same after the account's rounding rule.
-- billable_hours: Rounded hours that can be billed.
-- utilisation: Hours divided by capacity; 1 is full.
-- billable_utilisation: Billable hours divided by capacity.
-- billable_share: Billable hours divided by rounded hours.
-- as_of: How fresh this is: Harvest's clock before the last read of time entries and people, in UTC.
WITH worked AS (
    SELECT
        user_id,
        day,
        max(user_name) AS user_name,
        sum(hours) AS hours,
        sum(rounded_hours) AS rounded_hours,
        sum(billable_hours) AS billable_hours
    FROM entry_values
    GROUP BY user_id, day
),

summed AS (
    SELECT
        person.user_id,
        max(worked.user_name) AS user_name,
        person.month,
        min(person.day) AS first_day,
        max(person.day) AS last_day,
        count(*) FILTER (WHERE person.is_working_day) AS working_days,
        sum(person.capacity_hours) AS capacity_hours,
        bool_and(person.capacity_is_recorded) AS capacity_is_recorded,
        coalesce(sum(worked.hours), 0) AS hours,
        coalesce(sum(worked.rounded_hours), 0) AS rounded_hours,
        coalesce(sum(worked.billable_hours), 0) AS billable_hours
    FROM person_days AS person
    LEFT JOIN worked ON worked.user_id = person.user_id AND worked.day = person.day
    GROUP BY person.user_id, person.month
)

SELECT
    summed.user_id,
    coalesce(users.first_name || ' ' || users.last_name, summed.user_name) AS user_name,
    users.is_contractor,
    summed.month,
    summed.first_day,
    summed.last_day,
    summed.working_days,
    summed.capacity_hours,
    summed.capacity_is_recorded,
    summed.hours,
    summed.rounded_hours,
    summed.billable_hours,
    summed.hours / nullif(summed.capacity_hours, 0) AS utilisation,
    summed.billable_hours / nullif(summed.capacity_hours, 0) AS billable_utilisation,
    summed.billable_hours / nullif(summed.rounded_hours, 0) AS billable_share,
    (SELECT min(as_of) FROM freshness WHERE record IN ('time_entries', 'users')) AS as_of
FROM summed
LEFT JOIN users ON users.id = summed.user_id
