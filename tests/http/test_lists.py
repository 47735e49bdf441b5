"""Lists: api.md §2: limits, pages, cursors, counts, fields, expansion."""
import random

import pytest


def pages(client, path, limit, **query):
    """The pages of a list, each as its items."""
    found, cursor = [], None
    while True:
        answer = client.get(path, limit=limit, **query, **({"cursor": cursor} if cursor else {}))
        assert answer.status == 200, answer.body
        found.append(answer.json["items"])
        cursor = answer.json.get("next")
        if cursor is None:
            assert "next" not in answer.json
            return found
        assert len(found[-1]) == limit


@pytest.fixture(scope="module")
def contacts(admin):
    chance = random.Random(7)
    words = ["Ёлка", "елка", "Жук", "a", "A", "b", "10", "9"]
    for i in range(83):
        admin.made("contacts", name=chance.choice(words), position=chance.choice(words + [None, None]), consent=chance.choice([True, False, None]))
    return 83


def test_the_limit_is_1_to_500_and_50_when_not_given(admin, contacts):
    assert len(admin.get("contacts").json["items"]) == 50
    assert len(admin.get("contacts", limit=1).json["items"]) == 1
    assert len(admin.get("contacts", limit=500).json["items"]) == contacts
    for bad in ("0", "501", "-1", "x", "", "1.5", "99999999999999999999", "+5", " 5"):
        answer = admin.get("contacts", limit=bad)
        assert answer.status == 400 and answer.json["errors"][0]["pointer"] == "limit", bad


def test_total_is_there_only_when_asked_for(admin, contacts):
    assert "total" not in admin.get("contacts", limit=1).json
    assert admin.get("contacts", limit=1, count="exact").json["total"] == contacts
    filtered = admin.get("contacts", limit=2, count="exact", filter="name = 'Жук'").json
    assert filtered["total"] == len(admin.get("contacts", limit=500, filter="name = 'Жук'").json["items"])
    second = admin.get("contacts", limit=2, count="exact", filter="name = 'Жук'", cursor=filtered["next"]).json
    assert second["total"] == filtered["total"]
    assert admin.get("contacts", count="about").status == 400


def test_next_is_absent_on_the_last_page_even_when_it_is_full(admin, contacts):
    assert "next" not in admin.get("contacts", limit=contacts).json
    assert "next" in admin.get("contacts", limit=contacts - 1).json
    empty = admin.get("contacts", filter="name = 'nobody'").json
    assert empty == {"items": []}


SORTS = ["", "name", "-name", "position", "-position", "position,name", "-position,-name", "consent,-position", "-consent,position,-name", "id", "-id", "created_at", "-updated_at,name",
         "name,position,consent,version", "email", "-email", "company,name", "active,name"]


@pytest.mark.parametrize("sort", SORTS)
def test_pages_neither_lose_nor_repeat_and_are_in_one_order(admin, contacts, sort):
    query = {"sort": sort} if sort else {}
    whole = [r["id"] for r in admin.get("contacts", limit=500, **query).json["items"]]
    assert len(set(whole)) == contacts
    for limit in (1, 7, 41, 82, 83):
        assert [r["id"] for page in pages(admin, "contacts", limit, **query) for r in page] == whole, limit


def test_ties_are_broken_by_the_id_in_the_direction_of_the_last_field(admin, contacts):
    for sort, falling in (("consent", False), ("-consent", True), ("consent,-active", True)):
        items = admin.get("contacts", limit=500, sort=sort).json["items"]
        for a, b in zip(items, items[1:]):
            if a["consent"] == b["consent"]:
                assert (a["id"] > b["id"]) == falling


def test_the_newest_come_first_unless_asked_otherwise(admin, contacts):
    ids = [r["id"] for r in admin.get("contacts", limit=100).json["items"]]
    assert ids == sorted(ids, reverse=True)


def test_a_missing_value_is_the_greatest(admin, contacts):
    rising = [r["position"] for r in admin.get("contacts", limit=500, sort="position").json["items"]]
    falling = [r["position"] for r in admin.get("contacts", limit=500, sort="-position").json["items"]]
    missing = rising.count(None)
    assert missing > 3 and rising[-missing:] == [None] * missing and falling[:missing] == [None] * missing
    fold = lambda s: (s.lower().replace("ё", "е"), s)
    assert rising[:-missing] == sorted(rising[:-missing], key=lambda s: (fold(s)[0], s.encode()))
    assert falling[missing:] == list(reversed(rising[:-missing]))


def test_pages_stand_still_while_others_write(admin):
    """What did not change is seen once, whatever is created, changed and taken away before and behind."""
    still = [admin.made("contacts", name=f"Still {i:02}", position="still")["id"] for i in range(40)]
    moving = [admin.made("contacts", name=f"Moving {i:02}", position="still")["id"] for i in range(20)]
    seen, cursor, step = [], None, 0
    while True:
        page = admin.get("contacts", filter="position = 'still' or name starts 'Moving'", sort="name", limit=5, **({"cursor": cursor} if cursor else {})).json
        seen += [r["id"] for r in page["items"]]
        cursor = page.get("next")
        if not cursor:
            break
        admin.patch("contacts/" + moving[step % 20], {"name": "Zz moved", "position": None})
        admin.patch("contacts/" + moving[-1 - step % 20], {"name": "Aa moved"})
        admin.made("contacts", name=f"Still 00 new {step}", position="still")
        admin.patch("contacts/" + moving[(step + 7) % 20], {"active": False})
        step += 1
    assert [i for i in seen if i in set(still)] == still
    assert len(seen) == len(set(seen)) or all(seen.count(i) == 1 for i in still)


def test_a_record_taken_away_under_the_cursor_does_not_stop_the_pages(admin):
    ids = [admin.made("contacts", name=f"Cut {i}")["id"] for i in range(6)]
    first = admin.get("contacts", filter="name starts 'Cut '", sort="name", limit=3).json
    admin.patch("contacts/" + ids[2], {"active": False})
    rest = admin.get("contacts", filter="name starts 'Cut '", sort="name", limit=3, cursor=first["next"]).json
    assert [r["id"] for r in rest["items"]] == ids[3:]


def test_a_cursor_belongs_to_its_filter_sort_search_and_collection(admin, contacts):
    cursor = admin.get("contacts", sort="name", filter="active = true", limit=2).json["next"]
    good = {"sort": "name", "filter": "active = true", "limit": 2, "cursor": cursor}
    assert admin.get("contacts", **good).status == 200
    assert admin.get("contacts", **{**good, "limit": 5, "fields": "name", "count": "exact"}).status == 200
    for other in ({"sort": "-name"}, {"sort": "name,id"}, {"filter": "active  = true"}, {"q": "a"}, {"sort": ""}, {"filter": ""}):
        answer = admin.get("contacts", **{**good, **other})
        assert answer.status == 400 and answer.json["errors"][0]["pointer"] == "cursor", other
    assert admin.get("companies", **good).status == 400


def test_an_order_of_localized_texts_belongs_to_its_language(admin):
    for en, ru in (("Apple", "Яблоко"), ("Pear", "Груша"), ("Fig", "Инжир")):
        admin.made("tasks", title={"en": en, "ru": ru})
    first = admin("GET", "tasks", headers={"Accept-Language": "ru"}, sort="title", limit=1).json
    assert first["items"][0]["title"] == "Груша"
    assert admin("GET", "tasks", headers={"Accept-Language": "ru"}, sort="title", limit=1, cursor=first["next"]).json["items"][0]["title"] == "Инжир"
    assert admin("GET", "tasks", headers={"Accept-Language": "en"}, sort="title", limit=1, cursor=first["next"]).status == 400
    plain = admin("GET", "tasks", headers={"Accept-Language": "ru"}, sort="due", limit=1).json["next"]
    assert admin("GET", "tasks", headers={"Accept-Language": "en"}, sort="due", limit=1, cursor=plain).status == 200


def test_a_changed_cursor_is_refused(admin, contacts):
    cursor = admin.get("contacts", sort="name", limit=2).json["next"]
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for i in range(len(cursor)):
        changed = cursor[:i] + letters[(letters.index(cursor[i]) + 1) % 64] + cursor[i + 1:]
        assert admin.get("contacts", sort="name", limit=2, cursor=changed).status == 400, i
    for bad in (cursor[:-1], cursor + "A", cursor + "==", "AAAA", "%", "null", "0", cursor * 2, cursor.swapcase()):
        answer = admin.get("contacts", sort="name", limit=2, cursor=bad)
        assert answer.status == 400 and answer.json["code"] == "bad_request", bad


def test_sorting_by_what_does_not_exist_or_has_no_order_is_400(admin):
    unknown = admin.get("contacts", sort="nmae").json
    assert unknown["code"] == "unknown_field" and unknown["errors"][0]["pointer"] == "sort" and unknown["errors"][0]["suggestion"] == "name"
    assert admin.get("opportunities", sort="products").status == 400
    for bad in ("name,", ",name", "--name", "name,,position", "-", "name;position", "company.name", "id,nope", "id,"):
        answer = admin.get("contacts", sort=bad)
        assert answer.status == 400 and answer.json["errors"][0]["pointer"] == "sort", bad
    assert admin.get("contacts", sort="name,position,consent,version,email").status == 400


def test_fields_choose_and_the_id_is_always_there(admin, contacts):
    assert all(set(r) == {"id", "name"} for r in admin.get("contacts", fields="name").json["items"])
    assert all(set(r) == {"id", "name", "position"} for r in admin.get("contacts", fields=" position , name ").json["items"])
    assert all(set(r) == {"id"} for r in admin.get("contacts", fields="id").json["items"])
    unknown = admin.get("contacts", fields="name,postion").json
    assert unknown["code"] == "unknown_field" and unknown["errors"][0]["pointer"] == "fields" and unknown["errors"][0]["suggestion"] == "position"


def test_expand_replaces_references(admin, company, server, seller):
    deal = admin.made("opportunities", name="Expanded", company=company["id"], direction="cloud", responsible=server.users["seller"])
    item = admin.get("opportunities", filter="name = 'Expanded'", expand="company,responsible,stage,direction,contact,created_by,currency").json["items"][0]
    assert item["company"] == {"id": company["id"], "name": company["name"]}
    assert item["responsible"]["id"] == server.users["seller"] and item["responsible"]["name"] == "Seller"
    assert item["stage"]["code"] == "new" and item["direction"]["code"] == "cloud" and item["contact"] is None
    assert set(item["created_by"]) == {"id", "name"}
    assert item["id"] == deal["id"]
    assert admin.get("opportunities", expand="nothing").json["code"] == "unknown_field"
    assert admin.get("opportunities", expand="amount").status == 400
    chosen = admin.get("opportunities", filter="name = 'Expanded'", expand="company", fields="name").json["items"][0]
    assert set(chosen) == {"id", "name", "company"} and chosen["company"]["id"] == company["id"]  # what is expanded is wanted


def test_a_parameter_given_twice_or_unknown_is_400(admin):
    assert admin.get("contacts?limit=1&limit=2").status == 400
    answer = admin.get("contacts", sotr="name")
    assert answer.status == 400 and answer.json["errors"][0]["suggestion"] == "sort"


def test_head_answers_like_get_without_a_body(admin, contacts):
    head = admin("HEAD", "contacts", limit=3)
    assert head.status == 200 and head.body == b"" and head.headers["Content-Type"] == "application/json"
