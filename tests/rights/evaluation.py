"""The matrix, evaluated over the world: may this person do that with this record? Knows the document and nothing of workflows/roles.lua."""
import document

TABLE = document.read()
PARTNER_ROLES = {"partner", "partner_supervisor"}
LEVELS = ("registered", "silver", "gold", "platinum")


class Evaluation:
    def __init__(self, world):
        self.world = world
        self.users = {u["id"]: u for u in world.records["user"]}

    # ---- who somebody is ----

    def absent(self, person):
        """Whom somebody stands in for today: dora for lena (past's time is over)."""
        return {self.world.people["lena"].id} if person.login == "dora" else set()

    def directions(self, person):
        mine = set()
        for id in {person.id} | self.absent(person):
            user = self.users[id]
            mine |= {user["direction"]} | set(user["directions"])
            for group in user["groups"]:
                mine.add(self.world.byid[group]["direction"])
        return mine - {None}

    def reports(self, person):
        found, seek = set(), {person.id} | self.absent(person)
        while seek:
            seek = {u["id"] for u in self.users.values() if u["manager"] in seek} - found
            found |= seek
        return found - {person.id}

    def company(self, person):
        return self.users[person.id]["partner"]

    # ---- relations ----

    def own(self, person, r):
        """Responsible or author is me."""
        me = {person.id} | self.absent(person)
        if PARTNER_ROLES & set(person.roles):
            registration = self.world.byid.get(r.get("registration") or "")
            author = r.get("author") or (registration and registration["author"])
            if r["_entity"] == "certificate":
                return self.world.byid[r["holder"]]["user"] == person.id
            return self.comp(person, r) and (person.id in (r.get("responsible"), r["created_by"], author))
        return r.get("responsible") in me or r["created_by"] in me

    def unassigned(self, person, r):
        return r["responsible"] is None and self.dir(person, r)

    def team(self, person, r):
        return r.get("responsible") in self.reports(person)

    def dir(self, person, r):
        mine = self.directions(person)
        if r["_entity"] in ("price",):
            r = self.product(r)
        if r["_entity"] == "chain_step":
            r = self.by_code("chain", r["chain"])
        if r["_entity"] == "certificate":
            r = self.by_code("certification", r["certification"])
        if r["_entity"] == "member":
            r = self.world.byid[r["list"]]
        return r.get("direction") in mine or bool(r["_entity"] == "partner" and set(r["directions"]) & mine)

    def acct(self, person, r):
        me = {person.id} | self.absent(person)
        if r["_entity"] == "member":
            r = self.world.byid[r["list"]]
        if r["_entity"] in ("offering", "marketing_list"):
            r = self.world.byid[r["campaign"]]
        partner = self.world.byid.get(r.get("partner") or "")
        return bool(partner) and partner["responsible"] in me

    def comp(self, person, r):
        mine = self.company(person)
        return mine is not None and r.get("partner") == mine

    def colleagues(self, person, r):
        """Those of colleagues where the portal of the direction says so."""
        portal = self.world.portal.get(r["direction"])
        return self.comp(person, r) and bool(portal and portal["colleagues"])

    def self(self, person, r):
        return r["id"] == self.company(person)

    def deals(self, person, r):
        """The company or contact of a deal that one may read."""
        field = r["_entity"]
        return any(d[field] == r["id"] and self.may(person, "read", d) for d in self.world.records["opportunity"])

    def follow(self, person, r, action="read"):
        on = self.world.hangs_on(r)
        if PARTNER_ROLES & set(person.roles):
            if not on or on["_entity"] not in ("opportunity", "registration"):
                return False
            if r["_entity"] == "comment" and r["internal"] or r["_entity"] == "activity" and r["kind"] not in ("call", "meeting"):
                return False
        return bool(on) and self.may(person, "read" if action == "read" else "update", on)

    def assignee(self, person, r):
        return r["assignee"] in {person.id} | self.absent(person)

    def published(self, person, r):
        if r["_entity"] == "price":
            r = self.product(r)
        partner = self.world.byid[self.company(person)]
        return r["published"] and LEVELS.index(r["partner_level"]) <= LEVELS.index(partner["level"])

    def product(self, r):
        return self.by_code("product", r["product"])

    def by_code(self, entity, code):
        return self.world.find(entity, code=code)

    def me(self, person, r):
        return r["id"] == person.id

    def staff(self, person, r):
        return self.comp(person, r)

    def names(self, person, r):
        return True

    def lead(self, person, r):
        return r["lead"] == person.id or r["lead"] in self.reports(person)

    def owner(self, person, r):
        return (r.get("owner") or r.get("user")) == person.id

    def shared(self, person, r):
        user = self.users[person.id]
        codes = set(user["roles"])
        for group in user["groups"]:
            codes |= set(self.world.byid[group]["roles"])
        return bool(set(r["shared_groups"]) & set(user["groups"]) or set(r["shared_roles"]) & codes)

    # ---- the verdict ----

    def grants(self, person, entity):
        for role in person.roles:
            yield from TABLE[entity][role]

    def holds(self, person, action, relation, note, r):
        """One grant of the matrix on one record as it is."""
        relation, notes = relation.rstrip("¹²³⁴").split("(")[0], set(relation) & set("¹²³⁴")
        if relation == "all":
            return True
        if relation == "reports":
            return r["id"] in self.reports(person)
        if "²" in notes and r["state"] not in ("draft", "needs_info"):
            return False
        if "³" in notes:
            return self.colleagues(person, r)
        if relation == "follow":
            return self.follow(person, r, action)
        return getattr(self, relation)(person, r)

    def may(self, person, action, r):
        """On an existing record. Who may change it may read it."""
        wanted = {"read": ("read", "update", "delete")}.get(action, (action,))
        if r["_entity"] == "stage_change" and action != "read":
            return False
        granted = any(a in wanted and self.holds(person, a, relation, note, r) for a, relation, note in self.grants(person, r["_entity"]))
        return granted and (action == "read" or self.may(person, "read", r))

    def may_create(self, person, entity, r):
        r = dict({"created_by": person.id, "responsible": None, "partner": None, "directions": []}, **r, _entity=entity)
        return any(a == "create" and self.holds(person, a, relation, note, r) for a, relation, note in self.grants(person, entity))

    def speaks(self, person, action, entity):
        """Does any rule of theirs speak of it at all?"""
        return any(a == action for a, _, _ in self.grants(person, entity))
