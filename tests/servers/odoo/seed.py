# Load customers.json into Odoo; read by `odoo shell`, which gives `env`. Idempotent: everything is looked up by a code first.
# No blank line inside a block: the shell reads this like typing.
import json
data = json.load(open("/srv/customers.json", encoding="utf-8"))


def one(model, dom, vals, update=False):
    found = env[model].with_context(active_test=False).search(dom, limit=1)
    if found and update:
        found.write(vals)
    return found or env[model].create(vals)


# Custom fields, as an administrator adds them (Settings, Technical, Fields).
def field(model, name, label, ttype):
    of = env["ir.model"].search([("model", "=", model)])
    one("ir.model.fields", [("model", "=", model), ("name", "=", name)],
        {"model_id": of.id, "name": name, "field_description": label, "ttype": ttype, "state": "manual"})


field("res.partner", "x_loyalty_tier", "会员等级", "char")
field("res.partner", "x_loyalty_points", "会员积分", "integer")
field("project.task", "x_call_id", "呼叫编号", "char")
field("account.move", "x_refund_frozen", "退款冻结", "boolean")
field("account.move", "x_refund_frozen_reason", "冻结原因", "char")
env.cr.commit()

country = {c.code: c.id for c in env["res.country"].search([("code", "in", ["CN", "GB"])])}
partner = {}
for c in data["customers"]:
    company = env["res.partner"]
    if c["company"]:
        # Credit lives on the commercial partner.
        company = one("res.partner", [("name", "=", c["company"]), ("is_company", "=", True)],
                      {"name": c["company"], "is_company": True, "phone": c["phone"], "credit_limit": c["credit_limit"]})
    partner[c["code"]] = one("res.partner", [("ref", "=", c["code"])], {
        "ref": c["code"], "name": c["name"], "parent_id": company.id, "phone": c["phone"], "mobile": c["mobile"],
        "email": c["email"], "credit_limit": c["credit_limit"], "x_loyalty_tier": c["tier"], "x_loyalty_points": c["points"],
        "country_id": country["GB" if "+44" in c["phone"] else "CN"], "comment": "VIP" if c["vip"] else ""}, update=True)


product = {}
for o in data["orders"]:
    product[o["item"]] = one("product.product", [("name", "=", o["item"])],
                             {"name": o["item"], "list_price": o["price"], "type": "service", "taxes_id": [(5, 0, 0)]})
    if env["sale.order"].search([("client_order_ref", "=", o["no"])]):
        continue
    made = env["sale.order"].create({
        "partner_id": partner[o["customer"]].id, "client_order_ref": o["no"],
        "order_line": [(0, 0, {"product_id": product[o["item"]].id, "product_uom_qty": o["qty"], "price_unit": o["price"], "tax_id": [(5, 0, 0)]})]})
    if o["state"] == "confirmed":
        made.action_confirm()
    if o["state"] == "cancelled":
        made.action_cancel()
    # Confirming sets the date to now.
    made.date_order = o["date"] + " 02:00:00"


project = one("project.project", [("name", "=", "客服工单")], {"name": "客服工单", "privacy_visibility": "employees"})
stage = {}
for i, n in enumerate(("待处理", "处理中", "已关闭")):
    stage[n] = one("project.task.type", [("name", "=", n), ("project_ids", "in", [project.id])],
                   {"name": n, "sequence": i, "is_closed": n == "已关闭", "project_ids": [(4, project.id)]})


for t in data["tickets"]:
    one("project.task", [("project_id", "=", project.id), ("name", "=", t["subject"]), ("partner_id", "=", partner[t["customer"]].id)],
        {"name": t["subject"], "description": "<p>%s</p>" % t["body"], "project_id": project.id, "partner_id": partner[t["customer"]].id,
         "priority": "1" if t["priority"] == "high" else "0", "stage_id": stage["已关闭" if t["state"] == "closed" else "待处理"].id})


# An open balance is one posted invoice.
for c in data["customers"]:
    if c["balance"] and not env["account.move"].search([("ref", "=", "OPEN-" + c["code"])]):
        env["account.move"].create({
            "move_type": "out_invoice", "partner_id": partner[c["code"]].id, "ref": "OPEN-" + c["code"], "invoice_date": "2025-05-31",
            "invoice_line_ids": [(0, 0, {"name": "期初应收", "quantity": 1, "price_unit": c["balance"], "tax_ids": [(5, 0, 0)]})]}).action_post()


# Draft credit notes.
for r in data["refunds"]:
    one("account.move", [("ref", "=", r["no"])], {
        "move_type": "out_refund", "partner_id": partner[r["customer"]].id, "ref": r["no"], "invoice_date": "2025-06-01",
        "invoice_line_ids": [(0, 0, {"name": r["order"], "quantity": 1, "price_unit": r["amount"], "tax_ids": [(5, 0, 0)]})]})


# The account of the connector, one without rights, and one from outside that sees nobody but itself. Without an e-mail address message_post refuses to add notes.
def account(login, name, email, *groups):
    one("res.users", [("login", "=", login)], {
        "name": name, "email": email, "login": login, "password": login + "-pass", "groups_id": [(6, 0, [env.ref(g).id for g in groups])]})


account("linecard", "Linecard 接口", "linecard@shop.example", "base.group_user", "base.group_partner_manager",
        "sales_team.group_sale_salesman_all_leads", "project.group_project_user", "account.group_account_invoice")
account("limited", "无权限用户", "limited@shop.example", "base.group_user")
account("portal", "门户用户", "portal@shop.example", "base.group_portal")
env.cr.commit()
print("\nODOO_PROJECT=%d" % project.id)
print("\nODOO_SEEDED=%d" % len(partner))
