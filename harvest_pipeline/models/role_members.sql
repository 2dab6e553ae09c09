-- Who has which business role.
--
-- Harvest keeps the people of a role as a list of ids; here each of them has a row.
--
-- group: people
-- grain: role_id, user_id
-- reads: roles
--
-- role_id: Id of the role.
-- role_name: Name of the role.
-- user_id: Id of the person.
WITH members AS (
    SELECT id, name, unnest(from_json(user_ids, '["BIGINT"]')) AS user_id FROM roles
)

SELECT DISTINCT id AS role_id, name AS role_name, user_id FROM members
