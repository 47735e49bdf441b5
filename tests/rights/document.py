"""The matrix of rights as the domain's description has it, cell by cell, and a reader of its notation.

This is the test's own copy of the decision, not of workflows/roles.lua: where the two differ, one of them is wrong.

Relations: own (responsible or author is me), team (responsible is one of my reports), dir (direction is one of mine), acct (its partner's account
manager is me), comp (its partner is my company), all. C create, R read, U update, D deactivate. What is not listed is denied. ¹ only what the portal
shows, ² while draft or needs_info, ³ and those of colleagues where the portal says so, ⁴ contact data and staff only.

What the notation leaves open is decided here, once:
  * who may change or deactivate a record may read it;
  * partner staff stand only to records of their own company: own means own and comp;
  * an unassigned lead is one of a direction of mine, since of another I may not even read it.
"""
import re

COLUMNS = ("admin", "read_admin", "manager", "sales", "account", "marketeer", "certificate_manager", "partner_supervisor", "partner")

MATRIX = """
opportunity | CRUD all | R all | C, R dir+team, U dir+team, D dir | C, R dir, U own+team | C acct, R dir, U acct | R dir | – | R comp¹ | R own¹, R comp³
lead | CRUD all | R all | C, RU dir+team, D dir | C, R dir, U own+unassigned | C, R dir, U acct | C, RU all | – | – | –
registration | CRUD all | R all | RU dir | R dir, U own | R dir, U acct | – | – | C comp, R comp, U comp² | C comp, R own, R comp³, U own²
company | CRUD all | R all | C, RU dir+team, D dir | C, R dir, U own+team | C, R dir, U acct | R all, U all(marketing) | R all | R deals¹ | R deals¹
contact | CRUD all | R all | C, RU dir+team, D dir | C, R dir, U own+team | C, R dir, U acct | R all, U all(marketing) | R all | R deals¹ | R deals¹
partner | CRUD all | R all | C, R all, U dir | C, R dir, U own | R dir, U own | C, R dir | R all | R self, U self⁴ | R self¹
line | CRUD all | R all | follow | follow | follow | follow | follow | R follow¹ | R follow¹
document | CRUD all | R all | follow | follow | follow | follow | follow | R follow¹ | R follow¹
task | CRUD all | R all | follow, RU assignee | follow, RU assignee | follow, RU assignee | follow, RU assignee | follow, RU assignee | – | –
activity | CRUD all | R all | follow | follow | follow | follow | follow | R follow¹ | R follow¹
comment | CRUD all | R all | follow | follow | follow | follow | follow | R follow¹ | R follow¹
folder | CRUD all | R all | follow | follow | follow | follow | follow | R follow¹ | R follow¹
stage_change | R all | R all | R follow | R follow | R follow | R follow | R follow | R follow | R follow
product | CRUD all | R all | R, U dir | R | R | R | R | R published | R published
price | CRUD all | R all | R, U dir | R | R | R | R | R published | R published
content | CRUD all | R all | R, U dir | R | R | R, CRUD all | R | R published | R published
achievement | CRUD all | R all | R | R | R | R, CRUD all | R | – | –
certification | CRUD all | R all | R | R | R dir | R | CRUD all | R all | R all
certificate | CRUD all | R all | R | R | R dir+acct | R | CRUD all | R comp | R own
campaign | CRUD all | R all | R | R dir | R acct | CRUD all | – | – | –
offering | CRUD all | R all | R | R dir | R acct | CRUD all | – | – | –
marketing_list | CRUD all | R all | R | R dir | R acct | CRUD all | – | – | –
member | CRUD all | R all | R | R dir | R acct | CRUD all | – | – | –
direction | CRUD all | R all | R | R | R | R | R | – | –
stage | CRUD all | R all | R | R | R | R | R | – | –
lifecycle_step | CRUD all | R all | R | R | R | R | R | – | –
chain | CRUD all | R all | R, U dir | R | R | R | R | – | –
chain_step | CRUD all | R all | R, CUD dir | R | R | R | R | – | –
portal | CRUD all | R all | R, U dir | R | R | R | R | – | –
currency | CRUD all | R all | R | R | R | R | R | – | –
currency_rate | CRUD all | R all | R | R | R | R | R | – | –
holiday | CRUD all | R all | R | R | R | R | R | – | –
industry | CRUD all | R all | R | R | R | R | R | – | –
document_kind | CRUD all | R all | R | R | R | R | R | – | –
lost_reason | CRUD all | R all | R | R | R | R | R | – | –
status_reason | CRUD all | R all | R | R | R | R | R | – | –
lead_source | CRUD all | R all | R | R | R | R | R | – | –
lead_reason | CRUD all | R all | R | R | R | R | R | – | –
user | CRUD all | R all, U me | R, U reports, U me | R names, U me | R names, U me | R names, U me | R names, U me | R staff, CU staff, U me | R staff, U me
group | CRUD all | R all | R, U lead | R names | R names | R names | R names | – | –
role | CRUD all | R all | – | – | – | – | – | – | –
view | CRUD all | R all, CRUD owner | CRUD owner, R shared | CRUD owner, R shared | CRUD owner, R shared | CRUD owner, R shared | CRUD owner, R shared | CRUD owner, R shared | CRUD owner, R shared
notification | CRUD all | R all, UD owner | RUD owner | RUD owner | RUD owner | RUD owner | RUD owner | RUD owner | RUD owner
follower | CRUD all | R all | CRUD owner | CRUD owner | CRUD owner | CRUD owner | CRUD owner | – | –
"""

# Of the server itself: token, webhook, job, import, audit.
RESOURCES = {
    "token": {"admin": "CRUD", "read_admin": "R", "manager": "CRD", "sales": "CRD", "account": "CRD", "marketeer": "CRD", "certificate_manager": "CRD"},
    "import": {"admin": "CRUD", "read_admin": "R", "manager": "C", "marketeer": "C"},
    "webhook": {"admin": "CRUD", "read_admin": "R"},
    "job": {"admin": "CRUD", "read_admin": "R"},
    "audit": {"admin": "CRUD", "read_admin": "R"},
}

# What an import may write, besides the right to write it at all: "import dir" of managers, "import leads" of marketeers.
IMPORTS = {"manager": {"opportunity", "lead", "company", "contact", "partner"}, "marketeer": {"lead"}}

ACTIONS = {"C": "create", "R": "read", "U": "update", "D": "delete"}

# Of partner staff: never shown to them, on any path; and shown wherever they may read the record at all.
NEVER = {
    "opportunity": {"margin", "discount_reason", "competitor", "lost_reason", "probability", "forecast", "weighted", "description", "presale", "status_reason",
                    "responsible", "source_lead"},
    "line": {"cost", "discount"},
    "registration": {"conflicts", "responsible", "lead"},
    "company": {"partner", "responsible", "direction", "description", "status", "lifecycle_step"},
    "contact": {"partner", "responsible", "direction", "consent", "decision_role", "description"},
    "partner": {"description", "folder", "lifecycle_step", "responsible"},
    "document": {"hash", "item", "place"},
    "activity": {"text", "subject", "people", "colleagues"},
    "user": {"manager", "groups", "direction", "directions"},
}
ALWAYS = {
    "opportunity": {"number", "name", "amount", "stage", "status", "company", "partner"}, "registration": {"number", "state", "reason", "client_name"},
    "company": {"name"}, "contact": {"name"}, "partner": {"name", "level"}, "line": {"product", "quantity"}, "comment": {"text"}, "document": {"name", "kind"},
    "product": {"code", "name"}, "content": {"title"}, "user": {"name"},
}


def cell(text):
    """'R dir, U own+team' → [('read', 'dir', 'R dir'), ('update', 'own', …), ('update', 'team', …)]; 'follow' alone is all four actions."""
    grants = []
    for part in (p.strip() for p in text.split(",")):
        if part in ("", "–"):
            continue
        if part == "follow":
            part = "CRUD follow"
        match = re.fullmatch(r"([CRUD]+)(?: (.+))?", part)
        assert match, part
        relations = (match[2] or "all").split("+")
        grants += [(ACTIONS[letter], relation, part) for letter in match[1] for relation in relations]
    return grants


def read():
    """{entity: {column: grants}}"""
    table = {}
    for line in MATRIX.strip().splitlines():
        entity, *cells = [c.strip() for c in line.split("|")]
        assert len(cells) == len(COLUMNS), entity
        table[entity] = dict(zip(COLUMNS, map(cell, cells)))
    return table
