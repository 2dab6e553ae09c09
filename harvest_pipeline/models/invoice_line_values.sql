-- What each line of an invoice is worth: without taxes, before and after the discount.
--
-- The discount of an invoice is a percentage of all its lines, so each line bears that percentage
-- of itself. The amounts are not yet rounded: the other models sum them and round the sums. Lines
-- of drafts and of invoices that were written off are here too; who counts money says which states
-- count. A line is one of expenses if it stands under an invoice item category that Harvest uses
-- for expenses and not for hours.
--
-- group: invoices
-- grain: line_item_id
-- reads: invoice_line_items, invoices, invoice_item_categories
--
-- line_item_id: Id of the line.
-- invoice_id: Id of the invoice.
-- state: State of the invoice: draft, open, paid or closed (written off).
-- issue_date: The day that the invoice bears.
-- client_id: Id of the client who is billed.
-- client_name: Name of the client.
-- project_id: Id of the project billed by the line; empty for lines of no project.
-- currency: Currency of the invoice, in which the amounts are.
-- is_expense: Whether the line is one of expenses.
-- amount: Quantity times unit price: before discount and taxes.
-- net_amount: The amount less the discount, before taxes.
SELECT
    line.id AS line_item_id,
    line.invoice_id,
    invoice.state,
    invoice.issue_date,
    invoice.client_id,
    invoice.client_name,
    line.project_id,
    invoice.currency,
    coalesce(
        line.kind IN (
            SELECT name FROM invoice_item_categories WHERE use_as_expense AND NOT use_as_service
        ),
        false
    ) AS is_expense,
    line.amount,
    -- Nine decimals each, so that large sums still fit into the 38 digits of a DECIMAL.
    line.amount::DECIMAL(38, 9) * (1 - 0.01 * coalesce(invoice.discount, 0))::DECIMAL(18, 9)
        AS net_amount
FROM invoice_line_items AS line
JOIN invoices AS invoice ON invoice.id = line.invoice_id
