"""Full-text search: `q=` (api.md §2): Russian and English, case and ё/е folded, prefixes from two letters."""
import pytest


@pytest.fixture(scope="module")
def companies(admin):
    for name, legal in (("Берёзовая роща", "ООО «Берёзовая роща»"), ("Березки и клёны", None), ("Northern Lights Ltd", "Northern Lights Limited"), ("Light Industries", None),
                        ("Рога и Копыта", "АО «Р. и К.»"), ("1С-Битрикс", None), ("C++ & Co", None), ("NOT AND OR NEAR", None), ("O'Reilly \"Books\"", None), ("Ёжик в тумане", None)):
        admin.made("companies", name=name, **({"legal_name": legal} if legal else {}))


def found(client, q, path="companies", **query):
    answer = client.get(path, q=q, limit=100, **query)
    assert answer.status == 200, (q, answer.body)
    return sorted(r["name"] for r in answer.json["items"])


@pytest.mark.parametrize("q, names", [
    ("берёз", ["Березки и клёны", "Берёзовая роща"]),
    ("берез", ["Березки и клёны", "Берёзовая роща"]),
    ("БЕРЁЗОВАЯ", ["Берёзовая роща"]),
    ("ежик", ["Ёжик в тумане"]),
    ("ЁЖ", ["Ёжик в тумане"]),
    ("клен", ["Березки и клёны"]),
    ("роща берез", ["Берёзовая роща"]),
    ("light", ["Light Industries", "Northern Lights Ltd"]),
    ("LI NO", ["Northern Lights Ltd"]),
    ("lights ltd", ["Northern Lights Ltd"]),
    ("ights", []),
    ("northern копыта", []),
    ("1с битрикс", ["1С-Битрикс"]),
    ("1с-бит", ["1С-Битрикс"]),
    ("c", ["C++ & Co"]),
    ("co", ["C++ & Co"]),
    ("C++ & Co", ["C++ & Co"]),
    ("в", ["Ёжик в тумане"]),
    ("o'reilly", ["O'Reilly \"Books\""]),
    ("\"books\"", ["O'Reilly \"Books\""]),
    ("rei", ["O'Reilly \"Books\""]),
])
def test_what_people_type_finds_what_they_mean(admin, companies, q, names):
    assert found(admin, q) == sorted(names)


@pytest.mark.parametrize("q", ["\"", "\"\"", "(", ")", "*", "^", "-", "+", ":", "{}", "\\", "'", "%", "_", "«»", "…", "''';--", "AND", "NEAR(", "name:x", "a NEAR b", "(((", "x\" OR \"y", "NOT",
                               "\u0000", "\t", "😀", "a" * 5000, " ".join(["ab"] * 500), "* OR 1=1", "{name}: x", "-x", "rank", "rowid:1"])
def test_operators_mean_nothing_and_break_nothing(admin, companies, q):
    answer = admin.get("companies", q=q)
    assert answer.status in (200, 400), (q, answer.body)
    if answer.status == 400:
        assert answer.json["code"] == "bad_request" and "fts" not in answer.body.decode().lower()


def test_words_of_the_query_language_are_words(admin, companies):
    assert found(admin, "NOT AND") == ["NOT AND OR NEAR"]
    assert found(admin, "not near") == ["NOT AND OR NEAR"]
    assert found(admin, "light OR рога") == []


def test_an_empty_question_is_no_question_and_signs_alone_find_nothing(admin, companies):
    every = admin.get("companies", count="exact").json["total"]
    assert admin.get("companies", q="", count="exact").json["total"] == every
    assert found(admin, "\"((") == []


def test_search_goes_with_filter_sort_count_and_pages(admin, companies):
    assert found(admin, "берез", filter="name contains 'клён'") == ["Березки и клёны"]
    items = admin.get("companies", q="берез", sort="-name").json["items"]
    assert [r["name"] for r in items] == ["Берёзовая роща", "Березки и клёны"]
    page = admin.get("companies", q="берез", sort="name", limit=1, count="exact").json
    assert page["total"] == 2 and page["items"][0]["name"] == "Березки и клёны"
    rest = admin.get("companies", q="берез", sort="name", limit=1, cursor=page["next"]).json
    assert [r["name"] for r in rest["items"]] == ["Берёзовая роща"] and "next" not in rest
    groups = admin.get("companies/aggregate", q="берез", count="1").json["groups"]
    assert groups[0]["count"] == 2


def test_the_index_follows_changes(admin):
    record = admin.made("companies", name="Первоначальное имя")
    assert found(admin, "первонач") == ["Первоначальное имя"]
    admin.patch("companies/" + record["id"], {"name": "Совсем другое"})
    assert found(admin, "первонач") == [] and found(admin, "совсем") == ["Совсем другое"]
    admin.patch("companies/" + record["id"], {"active": False})
    assert found(admin, "совсем") == [] and found(admin, "совсем", filter="active = false") == ["Совсем другое"]
    assert found(admin, "совсем", filter="active in (true, false)") == ["Совсем другое"]


def test_only_fields_that_the_caller_reads_are_searched(admin, seller, company, server):
    mine = admin.made("opportunities", name="Поиск по делу", company=company["id"], direction="cloud", responsible=server.users["seller"], description="сверхсекрет")
    assert found(seller, "сверхсекрет", "opportunities") == ["Поиск по делу"]
    admin.made("opportunities", name="Чужое дело", company=company["id"], direction="hardware", description="сверхсекрет")
    assert found(seller, "сверхсекрет", "opportunities") == ["Поиск по делу"]
    assert len(found(admin, "сверхсекрет", "opportunities")) == 2
    assert mine["id"]


def test_an_entity_without_searchable_fields_finds_nothing(admin):
    assert admin.get("lines", q="x").json["items"] == []


def test_words_of_both_languages_of_a_localized_text_are_found(admin):
    admin.made("tasks", title={"en": "Prepare demonstration", "ru": "Подготовить показ"})
    assert len(admin.get("tasks", q="demonstr").json["items"]) == 1
    assert len(admin.get("tasks", q="подготов").json["items"]) == 1
