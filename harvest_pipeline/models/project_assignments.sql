-- Which people are assigned to which projects, with the project's client and how it is billed.
--
-- group: projects
-- grain: user_assignment_id
-- reads: user_assignments, projects
--
-- user_assignment_id: Id of the person's assignment to the project.
-- user_id: Id of the person.
-- user_name: Name of the person.
-- project_id: Id of the project.
-- project_name: Name of the project.
-- project_code: Code of the project.
-- client_id: Id of the client.
-- client_name: Name of the client.
-- currency: Currency of the client, in which the rate is.
-- is_project_manager: Whether the person manages the project.
-- use_default_rates: True where the person's own rate applies, false where the one here does.
-- hourly_rate: The person's hourly rate in this project.
-- budget: Hours of the project's budget that are the person's, or money, as it is budgeted.
-- is_active: Whether the person, who may be assigned no longer, can track time to the project.
-- is_project_active: Whether the project is active.
-- is_billable: Whether the project is billed to the client.
-- is_fixed_fee: Whether a fixed fee is billed instead of hours.
-- bill_by: Whose rate is billed, which is Project, Tasks, People or none.
-- starts_on: First day of the project.
-- ends_on: Last day of the project.
SELECT
    assignment.id AS user_assignment_id,
    assignment.user_id,
    assignment.user_name,
    assignment.project_id,
    assignment.project_name,
    assignment.project_code,
    project.client_id,
    project.client_name,
    project.client_currency AS currency,
    assignment.is_project_manager,
    assignment.use_default_rates,
    assignment.hourly_rate,
    assignment.budget,
    assignment.is_active,
    project.is_active AS is_project_active,
    project.is_billable,
    project.is_fixed_fee,
    project.bill_by,
    project.starts_on,
    project.ends_on
FROM user_assignments AS assignment
LEFT JOIN projects AS project ON project.id = assignment.project_id
