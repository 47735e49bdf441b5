"""GET /api/v1/openapi.json is a sound OpenAPI 3.1 document, and says what the caller may use and nothing else."""
import json
import re
import subprocess

import jsonschema
import pytest

from conftest import ROOT

METHODS = {"get", "put", "post", "delete", "patch", "head", "options", "trace"}


def unique_pairs(pairs):
    names = [name for name, _ in pairs]
    assert len(names) == len(set(names)), f"a name twice in one object: {[n for n in names if names.count(n) > 1]}"
    return dict(pairs)


@pytest.fixture(scope="module", params=["crm_admin", "crm_read_admin", "crm_manager", "crm_sales", "crm_partner"])
def description(server, request):
    client = server.user("openapi_" + request.param, request.param)
    answer = client.raw("GET", "/api/v1/openapi.json")
    assert answer.status == 200 and answer.headers["Content-Type"] == "application/json"
    return json.loads(answer.body, object_pairs_hook=unique_pairs)


def operations(description):
    for path, item in description["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def walk(value, where="#"):
    yield where, value
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from walk(inner, f"{where}/{name}")
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from walk(inner, f"{where}/{i}")


def test_it_has_the_parts_that_openapi_asks_for(description):
    assert re.fullmatch(r"3\.1\.\d+", description["openapi"])
    assert set(description) <= {"openapi", "info", "jsonSchemaDialect", "servers", "paths", "webhooks", "components", "security", "tags"}
    assert description["info"]["title"] and description["info"]["version"]
    assert all(server["url"] for server in description["servers"])
    for name in description["components"]["schemas"]:
        assert re.fullmatch(r"[A-Za-z0-9._-]+", name)


def test_it_is_valid_by_the_official_schema(description):
    done = subprocess.run(["node", ROOT / "tests/node/validate_openapi.mjs"], input=json.dumps(description), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "3.1 valid\n"


def test_every_path_and_method_is_well_formed(description):
    for path, item in description["paths"].items():
        assert path.startswith("/") and item and set(item) <= METHODS, path
    shapes = [re.sub(r"\{[^}]*\}", "{}", path) for path in description["paths"]]
    assert len(shapes) == len(set(shapes)), "two templates for the same paths"


def test_operation_ids_are_unique(description):
    ids = [operation["operationId"] for _, _, operation in operations(description)]
    assert len(ids) == len(set(ids)) and all(re.fullmatch(r"[A-Za-z0-9._-]+", i) for i in ids)


def test_every_reference_leads_somewhere(description):
    resolver = jsonschema.RefResolver("", description)
    references = [value["$ref"] for _, value in walk(description) if isinstance(value, dict) and "$ref" in value]
    assert references
    for reference in references:
        assert resolver.resolve(reference)[1] is not None


def test_parameters_are_declared_once_and_those_of_the_path_all(description):
    for path, method, operation in operations(description):
        seen = [(p["in"], p["name"].lower()) for p in operation.get("parameters", [])]
        assert len(seen) == len(set(seen)), (path, method)
        for p in operation.get("parameters", []):
            assert p["in"] in ("path", "query", "header") and p["schema"] is not None
            assert p["in"] != "path" or p["required"] is True
        assert {name for where, name in seen if where == "path"} == set(re.findall(r"\{([^}]*)\}", path)), (path, method)


def test_every_schema_is_a_schema(description):
    for _, value in walk(description["components"]["schemas"]):
        if isinstance(value, dict) and ("type" in value or "anyOf" in value):
            jsonschema.Draft202012Validator.check_schema(value) if not isinstance(value.get("type"), dict) else None
    for schema in description["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_every_operation_says_how_it_succeeds_and_how_it_fails(description):
    for path, method, operation in operations(description):
        responses = operation["responses"]
        assert all(re.fullmatch(r"[1-5]\d\d|default", status) for status in responses)
        if set(responses) == {"default"}:
            assert operation["tags"] == ["scripts"]
            continue
        assert any(status.startswith("2") for status in responses), (path, method)
        assert "default" in responses and "503" in responses
        if operation.get("security") != []:
            assert {"401", "403"} <= set(responses), (path, method)
        if "{" in path:
            assert "404" in responses
        if method in ("post", "patch", "put") and "requestBody" in operation:
            assert {"413", "415"} <= set(responses), (path, method)


def test_bodies_name_a_type_and_a_schema(description):
    for path, method, operation in operations(description):
        assert method not in ("get", "delete") or "requestBody" not in operation, (path, method)
        if "requestBody" in operation:
            assert operation["requestBody"]["content"]
        for response in operation["responses"].values():
            for kind, media in response.get("content", {}).items():
                assert "/" in kind and "schema" in media


def test_no_answer_is_described_as_just_anything(description):
    """An answer of JSON has a schema that says more than that it is an object."""
    loose = {"#/components/schemas/api.object"}
    for path, method, operation in operations(description):
        if operation["tags"] == ["scripts"]:
            continue
        for status, response in operation["responses"].items():
            media = response.get("content", {}).get("application/json")
            assert media is None or media["schema"].get("$ref") not in loose, (path, method, status)


def test_it_offers_what_me_grants(server, description, request):
    role = request.node.callspec.params["description"]
    client = server.user("openapi_" + role, role)
    rights, schema = client.get("me").json["rights"], client.get("schema").json
    for name, entity in schema["entities"].items():
        base, one = "/api/v1/" + entity["collection"], "/api/v1/" + entity["collection"] + "/{id}"
        may = rights[name]
        assert ("get" in description["paths"][base]) == ("read" in may)
        assert ("post" in description["paths"][base]) == ("create" in may)
        assert ("patch" in description["paths"][one]) == ("update" in may)
        assert ("delete" in description["paths"][one]) == ("delete" in may)
        assert set(description["components"]["schemas"][name]["properties"]) - {"created"} == set(entity["fields"])
        writable = {field for field, about in entity["fields"].items() if about["write"]}
        assert writable <= set(description["components"]["schemas"][name + ".write"]["properties"])


def test_a_partner_is_told_of_no_hidden_field(server):
    partner = server.user("openapi_crm_partner", "crm_partner")
    text = partner.raw("GET", "/api/v1/openapi.json").body.decode()
    admin = server.user("openapi_crm_admin", "crm_admin")
    everything = admin.get("schema").json["entities"]
    mine = partner.get("schema").json["entities"]
    assert "competitor" in everything["opportunity"]["fields"] and "competitor" not in text
    assert "lead" not in mine or "lead" in everything
    assert '"/api/v1/leads"' not in text


def test_the_description_is_asked_for_with_a_token(server):
    import http.client
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("GET", "/api/v1/openapi.json")
    assert connection.getresponse().status == 401
    connection.close()


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A server whose scripts declare an entity, an action and routes of their own."""
    from conftest import Server
    import shutil
    folder = tmp_path_factory.mktemp("extended")
    shutil.copytree(ROOT / "workflows", folder / "workflows")
    (folder / "workflows" / "extra.lua").write_text("""
entity "api_widget" {
  label = { en = "Widget", ru = "Деталь" },
  plural = { en = "Widgets", ru = "Детали", path = "api_widgets" },
  title = "name",
  fields = {
    name = text { label = { en = "Name", ru = "Название" }, required = true, max = 40 },
    weight = decimal { label = { en = "Weight", ru = "Вес" }, scale = 3, min = 0 },
    colour = option { "red", "blue", label = { en = "Colour", ru = "Цвет" } },
    extra = json { label = { en = "Extra", ru = "Прочее" } },
  },
}
route("GET", "/api/v1/x/report", { allow = "*" }, function(request) return { ok = true, list = { 1, 2 } } end)
route("POST", "/api/v1/x/report", { allow = "crm_admin" }, function(request) return { got = request.body } end)
""")
    running = Server(folder, "--workflows", str(folder / "workflows"))
    yield running
    assert running.stop() == 0


def test_entities_of_scripts_are_described_and_held_to_it(extended):
    admin = extended.user("admin", "crm_admin")
    made = admin.made("api_widgets", name="Cog", weight=1.125, colour="red", extra={"a": [1, {"b": None}]})
    assert made["extra"] == {"a": [1, {"b": None}]} and made["weight"] == 1.125
    patched = admin.patch("api_widgets/" + made["id"], {"extra": {"c": True}})
    assert patched.status == 200 and patched.json["extra"]["c"] is True
    description = admin.raw("GET", "/api/v1/openapi.json").json
    write = description["components"]["schemas"]["api_widget.write"]["properties"]
    assert write["colour"]["enum"] == ["red", "blue", None] and write["name"]["maxLength"] == 40 and write["weight"]["minimum"] == 0
    assert description["paths"]["/api/v1/api_widgets"]["post"]["requestBody"]["content"]["application/json"]["schema"]["required"] == ["name"]


def test_routes_of_scripts_are_described_to_those_who_may_call_them(extended):
    admin, seller = extended.user("admin", "crm_admin"), extended.user("seller", "crm_sales")
    assert set(admin.raw("GET", "/api/v1/openapi.json").json["paths"]["/api/v1/x/report"]) == {"get", "post"}
    assert set(seller.raw("GET", "/api/v1/openapi.json").json["paths"]["/api/v1/x/report"]) == {"get"}
    assert seller.get("x/report").json == {"ok": True, "list": [1, 2]}
    assert admin.post("x/report", {"a": 1}).json == {"got": {"a": 1}} and seller.post("x/report", {}).status == 403
    refused = admin("DELETE", "x/report")
    assert refused.status == 405 and refused.headers["Allow"] == "GET, HEAD, POST, OPTIONS"
