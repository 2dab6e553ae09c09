-- The timesheet of each person in each week: hours by kind, overtime, missing days, late entries and
-- approval; what a payroll needs.
--
-- Hours are as tracked, not rounded, because people are paid for these. Overtime is what is above
-- the week's capacity, which is that of `utilisation`. A missing day is a Monday to Friday before
-- the day of the last read on which the person, who has some capacity, tracked nothing: Harvest
-- knows no holidays and no leave, unless they are tracked as a task. An entry is late if it was made
-- more than 3 days after the day worked, by days in the time zone of the project. The submitted share has what is approved
-- in it; both are empty in a week without hours.
--
-- group: answers
-- grain: user_id, week
-- reads: person_days, entry_values, users, freshness
--
-- user_id: Id of the person.
-- user_name: Name of the person.
-- email: E-mail address of the person.
-- is_contractor: Whether the person is a contractor, not an employee.
-- week: First day of the week, which begins on the day that the company has chosen.
-- first_day: First day in it that is one of the person's.
-- last_day: Last day in it that is one of the person's.
-- capacity_hours: Hours that the person could work on these days.
-- hours: Hours tracked.
-- tracked_billable_hours: The part of them that can be billed.
-- tracked_non_billable_hours: The rest of them.
-- overtime_hours: Hours above the capacity.
-- days_with_time: Days on which something was tracked.
-- missing_days: Working days on which nothing was.
-- entries: Number of time entries.
-- late_entries: Entries made more than 3 days after the day worked.
-- late_hours: Hours of these.
-- unsubmitted_hours: Hours that were not submitted for approval.
-- submitted_hours: Hours that wait for approval.
-- approved_hours: Hours that are approved.
-- submitted_share: Share of the hours that was submitted, approved ones included.
-- approved_share: Share of the hours that is approved.
-- as_of: How fresh this is: Harvest's clock before the last read of time entries and people, in UTC.
WITH worked AS (
    SELECT
        user_id,
        day,
        max(user_name) AS user_name,
        count(*) AS entries,
        sum(hours) AS hours,
        sum(CASE WHEN billable THEN hours ELSE 0 END) AS billable_hours,
        sum(CASE WHEN local_day(created_at) > day + 3 THEN 1 ELSE 0 END)
            AS late_entries,
        sum(CASE WHEN local_day(created_at) > day + 3 THEN hours ELSE 0 END)
            AS late_hours,
        sum(CASE WHEN approval_status = 'submitted' THEN hours ELSE 0 END) AS submitted_hours,
        sum(CASE WHEN approval_status = 'approved' THEN hours ELSE 0 END) AS approved_hours
    FROM entry_values
    GROUP BY user_id, day
),

fresh AS (
    SELECT
        min(as_of) AS as_of,
        min(local_day(as_of)) FILTER (WHERE record = 'time_entries') AS today
    FROM freshness
    WHERE record IN ('time_entries', 'users')
),

summed AS (
    SELECT
        person.user_id,
        max(worked.user_name) AS user_name,
        person.week,
        min(person.day) AS first_day,
        max(person.day) AS last_day,
        sum(person.capacity_hours) AS capacity_hours,
        coalesce(sum(worked.hours), 0) AS hours,
        coalesce(sum(worked.billable_hours), 0) AS billable_hours,
        count(worked.day) AS days_with_time,
        count(*) FILTER (
            WHERE person.capacity_hours > 0
            AND worked.day IS NULL
            AND person.day < fresh.today
        ) AS missing_days,
        coalesce(sum(worked.entries), 0)::BIGINT AS entries,
        coalesce(sum(worked.late_entries), 0)::BIGINT AS late_entries,
        coalesce(sum(worked.late_hours), 0) AS late_hours,
        coalesce(sum(worked.submitted_hours), 0) AS submitted_hours,
        coalesce(sum(worked.approved_hours), 0) AS approved_hours
    FROM person_days AS person
    LEFT JOIN worked ON worked.user_id = person.user_id AND worked.day = person.day
    CROSS JOIN fresh
    GROUP BY person.user_id, person.week
)

SELECT
    summed.user_id,
    coalesce(users.first_name || ' ' || users.last_name, summed.user_name) AS user_name,
    users.email,
    users.is_contractor,
    summed.week,
    summed.first_day,
    summed.last_day,
    summed.capacity_hours,
    summed.hours,
    summed.billable_hours AS tracked_billable_hours,
    summed.hours - summed.billable_hours AS tracked_non_billable_hours,
    greatest(summed.hours - summed.capacity_hours, 0) AS overtime_hours,
    summed.days_with_time,
    summed.missing_days,
    summed.entries,
    summed.late_entries,
    summed.late_hours,
    summed.hours - summed.submitted_hours - summed.approved_hours AS unsubmitted_hours,
    summed.submitted_hours,
    summed.approved_hours,
    (summed.submitted_hours + summed.approved_hours) / nullif(summed.hours, 0) AS submitted_share,
    summed.approved_hours / nullif(summed.hours, 0) AS approved_share,
    fresh.as_of
FROM summed
CROSS JOIN fresh
LEFT JOIN users ON users.id = summed.user_id
