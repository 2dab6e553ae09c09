-- What each expense is worth, and what of it can be billed.
--
-- An expense is in the currency of the client. Whether it can be billed is what the expense itself
-- says, not its project.
--
-- group: expenses
-- grain: expense_id
-- reads: expenses
--
-- expense_id: Id of the expense.
-- day: The day that the money was spent.
-- user_id: Id of the person.
-- user_name: Name of the person.
-- project_id: Id of the project.
-- project_name: Name of the project.
-- client_id: Id of the client.
-- client_name: Name of the client.
-- expense_category_id: Id of the category.
-- expense_category_name: Name of the category.
-- currency: Currency of the client, in which the amounts are.
-- billable: Whether it can be billed.
-- is_billed: Whether it is marked as invoiced.
-- invoice_id: Id of the invoice that it is on.
-- amount: What was spent.
-- billable_amount: The same if it can be billed, else 0.
SELECT
    id AS expense_id,
    spent_date AS day,
    user_id,
    user_name,
    project_id,
    project_name,
    client_id,
    client_name,
    expense_category_id,
    expense_category_name,
    client_currency AS currency,
    billable,
    is_billed,
    invoice_id,
    total_cost AS amount,
    CASE WHEN billable THEN total_cost ELSE 0 END AS billable_amount
FROM expenses
